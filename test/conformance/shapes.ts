/** JSON of the public interface, as far as the tests look at it. */
export interface WireRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly timestamp: string
  readonly key?: string
  readonly keyBase64?: string
  readonly value?: unknown
  readonly valueBase64?: string
  readonly tombstone?: boolean
  readonly headers?: Readonly<Record<string, string>>
  readonly headersBase64?: Readonly<Record<string, string>>
}

export interface ReadPage {
  readonly records: readonly WireRecord[]
  readonly cursor: string
}

export interface ProducedRecord {
  readonly partition: number
  readonly offset: number
  readonly timestamp: string
}

export interface Produced {
  readonly records: readonly ProducedRecord[]
}

export interface TopicPartitions {
  readonly topic: string
  readonly partitions: readonly number[]
}

export interface MemberTold {
  readonly memberId: string
  readonly memberEpoch: number
  readonly assigned: readonly TopicPartitions[]
  readonly revoking: readonly TopicPartitions[]
}

export interface GroupPage extends ReadPage, MemberTold {
  readonly uncommitted?: readonly OffsetReceipt[]
}

export interface OffsetReceipt {
  readonly topic: string
  readonly partition: number
  readonly offset?: number
  readonly error?: Problem
}

export interface OffsetReceipts {
  readonly offsets: readonly OffsetReceipt[]
}

export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly code: string
  readonly detail: string
  readonly retryable: boolean
  readonly committed: string
  readonly traceId: string
  readonly errors?: readonly { readonly pointer: string; readonly detail: string }[]
  readonly limit?: number
  readonly retryAfterMs?: number
  readonly action?: string
  /** Which partition of a read failed, and where the cursor `earliest` or `tail` stands in it. */
  readonly partition?: number
  readonly offset?: number
  readonly tail?: string
  readonly earliest?: string
}

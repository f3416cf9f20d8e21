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
  /** Which partition of a read failed, and where the cursor `earliest` or `tail` stands in it. */
  readonly partition?: number
  readonly offset?: number
  readonly tail?: string
  readonly earliest?: string
}

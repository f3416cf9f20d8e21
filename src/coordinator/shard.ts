/**
 * A replicated state machine over one partition of an internal topic. Its state is what its records
 * say, replayed in order; a call is answered when the records that it led to are committed.
 */
import type { RecordInput } from '../core/record.ts'
import type { MetadataImage } from '../metadata/metadata-image.ts'
import type { Refusal } from '../wire/internal.ts'

export interface Moment {
  readonly nowMs: number
  readonly monotonicMs: number
  readonly image: MetadataImage
}

/**
 * `reply` is called once, after the records, those of all calls of the same turn, and all that
 * follows from them were replayed: what the call found may be gone by then.
 */
export type Handled<Record, Reply> =
  | { readonly records: readonly Record[]; readonly reply: () => Reply | Refusal }
  | Refusal

export interface Shard<Command, Reply, Record> {
  /** Decides, and changes nothing but what is not in the log, such as how long a session lasts. */
  handle(command: Command, moment: Moment): Handled<Record, Reply>
  /**
   * What follows by itself from the state, the metadata and the time, as far as it fits one batch:
   * called, and its records replayed, until there is none.
   */
  follow(moment: Moment): readonly Record[]
  /** The only way in which the state changes. Records of a compacted log may lack their predecessors. */
  replay(record: Record): void
  /** When `follow` has something to do although nothing happens; monotonic, infinite for never. */
  readonly nextDeadlineMs: number
  /** The state is given up. */
  close(): void
}

/** How records are stored. */
export interface RecordCodec<Record> {
  /** Of two records with the same key the later one says it all. */
  keyOf(record: Record): string
  encode(record: Record, timestampMs: number): RecordInput
  /** Says nothing; who gets it committed is sure to have led all along. */
  proof(timestampMs: number): RecordInput
  /** Undefined for what this version does not know. */
  decode(key: Uint8Array, value: Uint8Array | null): Record | undefined
}

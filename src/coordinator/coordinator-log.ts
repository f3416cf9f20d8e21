/** A partition of an internal topic as its coordinator uses it, under one leader epoch. */
import type { Appended, Refusal } from '../wire/internal.ts'

export interface CoordinatorLog {
  /**
   * Whole batches from the start of the log, all of them committed, up to its end: for that it waits
   * until what was there before is committed too. Returns where the log ends.
   * @throws ServiceError while this node does not lead the partition
   */
  load(signal: AbortSignal): AsyncGenerator<Uint8Array, number, undefined>
  /** With acks=all, only behind `expectedOffset`, only under this epoch. Never rejects. */
  append(batch: Uint8Array, expectedOffset: number): Promise<Appended | Refusal>
  /** Whether this node can be sure, without an append, that nobody else leads the partition. */
  readonly isCertain: boolean
}

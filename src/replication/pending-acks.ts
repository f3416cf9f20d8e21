/** Appends that wait for a watermark to pass them, in the order of their offsets. */
import type { Appended, Refusal } from '../wire/internal.ts'

export type AppendResult = Appended | Refusal

export interface PendingAck {
  /** The watermark that settles it. */
  readonly endOffset: number
  /** What it settles with then. */
  readonly result: AppendResult
  readonly settle: (result: AppendResult) => void
}

const COMPACT_AT = 256

export class PendingAcks {
  #acks: PendingAck[] = []
  #first = 0

  get waiting(): number {
    return this.#acks.length - this.#first
  }

  push(ack: PendingAck): void {
    this.#acks.push(ack)
  }

  /** The watermark has reached `offset`. */
  advance(offset: number): void {
    let ack = this.#acks[this.#first]
    while (ack !== undefined && ack.endOffset <= offset) {
      this.#first++
      ack.settle(ack.result)
      ack = this.#acks[this.#first]
    }
    if (this.#first === this.#acks.length) {
      this.#acks = []
      this.#first = 0
    } else if (this.#first >= COMPACT_AT && this.#first * 2 >= this.#acks.length) {
      this.#acks = this.#acks.slice(this.#first)
      this.#first = 0
    }
  }

  /** Settles otherwise what waits for more than `offset`. */
  refuseBeyond(offset: number, refusal: Refusal): void {
    const kept: PendingAck[] = []
    const refused: PendingAck[] = []
    for (const ack of this.#acks.slice(this.#first)) {
      if (ack.endOffset > offset) refused.push(ack)
      else kept.push(ack)
    }
    this.#acks = kept
    this.#first = 0
    for (const ack of refused) ack.settle(refusal)
  }
}

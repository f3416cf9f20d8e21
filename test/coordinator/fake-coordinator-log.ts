/** A log in memory whose appends are committed, refused or left alone by the test. */
import type { CoordinatorLog } from '../../src/coordinator/coordinator-log.ts'
import { batchLastOffset, stampBatch } from '../../src/core/record-batch.ts'
import type { Appended, Refusal } from '../../src/wire/internal.ts'

interface Append {
  readonly batch: Uint8Array
  readonly offset: number
  readonly settle: (result: Appended | Refusal) => void
}

export class FakeCoordinatorLog implements CoordinatorLog {
  readonly batches: Uint8Array[] = []
  readonly appends: Append[] = []
  endOffset = 0
  loads = 0
  /** Whether appends are committed at once. */
  isEager: boolean = true
  isCertain: boolean = true
  /** What the next loads fail with. */
  loadError: Error | undefined

  async *load(signal: AbortSignal): AsyncGenerator<Uint8Array, number, undefined> {
    this.loads++
    await Promise.resolve()
    signal.throwIfAborted()
    if (this.loadError !== undefined) throw this.loadError
    yield* this.batches
    return this.endOffset
  }

  append(batch: Uint8Array, offset: number): Promise<Appended | Refusal> {
    return new Promise((settle) => {
      this.appends.push({ batch, offset, settle })
      if (this.isEager) this.commit()
    })
  }

  /** The oldest append gets into the log. */
  commit(): void {
    const append = this.appends.shift()
    if (append === undefined) throw new Error('nothing is being appended')
    if (append.offset !== this.endOffset) {
      append.settle(refusal('precondition-failed', 'no'))
      return
    }
    this.#write(append)
    append.settle({ ok: true, baseOffset: append.offset, appendTimeMs: -1 })
  }

  refuse(code: Refusal['code'], committed: Refusal['committed'], isWritten = false): void {
    const append = this.appends.shift()
    if (append === undefined) throw new Error('nothing is being appended')
    if (isWritten) this.#write(append)
    append.settle(refusal(code, committed))
  }

  #write({ batch, offset }: Append): void {
    stampBatch(batch, { baseOffset: offset, leaderEpoch: 0 })
    this.batches.push(batch)
    this.endOffset = batchLastOffset(batch) + 1
  }
}

function refusal(code: Refusal['code'], committed: Refusal['committed']): Refusal {
  return { ok: false, code, detail: code, committed }
}

/** The answer to a produce request: for each record, in order, its place or why it was not written. */
import type { ProduceOutcome } from '../../front/produce.ts'
import { refusalError } from '../../front/refusal.ts'
import { ServiceError } from '../../lib/service-error.ts'
import type { TopicImage } from '../../metadata/metadata-image.ts'
import { problemOf } from '../../wire/problem.ts'
import { formatTimestamp } from '../../wire/timestamp.ts'

export interface ProduceAnswer {
  /** The array of receipts, as JSON. */
  readonly receipts: string
  readonly failed: number
}

/** Writes the receipts of one part, whose records follow each other in its partition. */
interface PartWriter {
  /** Of the next `count` records, which have one time. */
  receipts(count: number, timestampMs: number): string
}

/** @throws ServiceError if nothing of the request was written, for one reason */
export function produceAnswer(
  topic: TopicImage,
  { parts, partOf, timesMs }: ProduceOutcome,
  traceId: string,
): ProduceAnswer {
  const [first] = parts
  if (first !== undefined && parts.length === 1 && !first.result.ok) {
    throw refusalError(first.result, topic, first.partition)
  }
  let failed = 0
  const writers = parts.map(({ partition, result, firstOffset }): PartWriter => {
    if (result.ok) return new PlaceWriter(partition, firstOffset, result.appendTimeMs)
    const problem = problemOf(refusalError(result, topic, partition), traceId)
    const receipt = JSON.stringify({ error: problem })
    return {
      receipts: (count) => {
        failed += count
        return new Array<string>(count).fill(receipt).join()
      },
    }
  })
  let receipts = ''
  for (let start = 0, end = 0; start < timesMs.length; start = end) {
    const part = partOf?.[start] ?? 0
    const timestampMs = timesMs[start] as number
    do end++
    while (
      end < timesMs.length &&
      timesMs[end] === timestampMs &&
      (partOf === undefined || partOf[end] === part)
    )
    const run = (writers[part] as PartWriter).receipts(end - start, timestampMs)
    receipts += start === 0 ? run : `,${run}`
  }
  return { receipts: `[${receipts}]`, failed }
}

/** Receipts of one time are alike but for the last digits of their offsets: one is made, and repeated. */
const RUN_OFFSETS = 100
const MAX_RECEIPT_CHARACTERS = 128
const SCRATCH = Buffer.allocUnsafeSlow(RUN_OFFSETS * MAX_RECEIPT_CHARACTERS)
const ZERO = 0x30

class PlaceWriter implements PartWriter {
  readonly #opening: string
  /** -1 if the records have times of their own. */
  readonly #appendTimeMs: number
  #offset: number
  #timestampMs = Number.NaN
  #closing = ''

  constructor(partition: number, firstOffset: number, appendTimeMs: number) {
    this.#opening = `{"partition":${partition},"offset":`
    this.#offset = firstOffset
    this.#appendTimeMs = appendTimeMs
  }

  receipts(count: number, recordTimeMs: number): string {
    const timestampMs = this.#appendTimeMs === -1 ? recordTimeMs : this.#appendTimeMs
    if (timestampMs !== this.#timestampMs) {
      this.#timestampMs = timestampMs
      this.#closing = `,"timestamp":"${formatTimestamp(timestampMs)}"}`
    }
    const runs: string[] = []
    for (const end = this.#offset + count; this.#offset < end; ) runs.push(this.#run(end))
    return runs.join()
  }

  /** Those of the next offsets, below `end`, that differ in their last two digits alone. */
  #run(end: number): string {
    const start = this.#offset
    const first = this.#opening + start
    const tail = start % RUN_OFFSETS
    // Of the very first offsets some have one digit.
    const room = start === tail ? 1 : RUN_OFFSETS - tail
    const count = Math.min(end - start, room)
    this.#offset += count
    if (count === 1) return first + this.#closing
    const receipt = `${first}${this.#closing},`
    const bytes = SCRATCH.subarray(0, count * receipt.length).fill(receipt, 'latin1')
    let at = first.length
    for (let digits = tail; digits < tail + count; digits++, at += receipt.length) {
      bytes[at - 2] = ZERO + Math.floor(digits / 10)
      bytes[at - 1] = ZERO + (digits % 10)
    }
    return bytes.toString('latin1', 0, bytes.length - 1)
  }
}

/** The error that an answer about many records reports for a fault that was thrown. */
export function asServiceError(error: unknown): ServiceError {
  if (error instanceof ServiceError) return error
  return new ServiceError('internal-error', 'something broke in the server', { cause: error })
}

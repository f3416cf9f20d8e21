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
    while (timesMs[end] === timestampMs && (partOf?.[end] ?? 0) === part)
    const run = (writers[part] as PartWriter).receipts(end - start, timestampMs)
    receipts += start === 0 ? run : `,${run}`
  }
  return { receipts: `[${receipts}]`, failed }
}

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
    const offsets: number[] = []
    for (let i = 0; i < count; i++) offsets.push(this.#offset++)
    return this.#opening + offsets.join(`${this.#closing},${this.#opening}`) + this.#closing
  }
}

/** The error that an answer about many records reports for a fault that was thrown. */
export function asServiceError(error: unknown): ServiceError {
  if (error instanceof ServiceError) return error
  return new ServiceError('internal-error', 'something broke in the server', { cause: error })
}

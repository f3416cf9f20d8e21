/** The answer to a produce request: for each record, in order, its place or why it was not written. */
import type { ProduceOutcome } from '../../front/produce.ts'
import type { ProduceRecord } from '../../front/record-check.ts'
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

/** Writes the receipts of one part, each of which is the next record of its partition. */
interface PartWriter {
  receipt(record: ProduceRecord): string
}

/** @throws ServiceError if nothing of the request was written, for one reason */
export function produceAnswer(
  topic: TopicImage,
  records: readonly ProduceRecord[],
  { parts, partOf }: ProduceOutcome,
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
      receipt: () => {
        failed++
        return receipt
      },
    }
  })
  let receipts = '['
  for (let i = 0; i < records.length; i++) {
    const writer = writers[partOf === undefined ? 0 : (partOf[i] as number)] as PartWriter
    if (i > 0) receipts += ','
    receipts += writer.receipt(records[i] as ProduceRecord)
  }
  return { receipts: `${receipts}]`, failed }
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

  receipt(record: ProduceRecord): string {
    const timestampMs = this.#appendTimeMs === -1 ? record.timestampMs : this.#appendTimeMs
    if (timestampMs !== this.#timestampMs) {
      this.#timestampMs = timestampMs
      this.#closing = `,"timestamp":"${formatTimestamp(timestampMs)}"}`
    }
    return this.#opening + this.#offset++ + this.#closing
  }
}

/** The error that an answer about many records reports for a fault that was thrown. */
export function asServiceError(error: unknown): ServiceError {
  if (error instanceof ServiceError) return error
  return new ServiceError('internal-error', 'something broke in the server', { cause: error })
}

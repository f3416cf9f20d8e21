/**
 * Produce with `stream=true`: takes lines as long as they come, writes them a chunk at a time, and
 * gives one receipt a chunk. The next chunk is read when the receipt of the last was taken.
 */
import { LIMITS } from '../../core/limits.ts'
import type { RecordHeader } from '../../core/record.ts'
import type { Front } from '../../front/front.ts'
import type { ProduceOutcome } from '../../front/produce.ts'
import { refusalError } from '../../front/refusal.ts'
import { ServiceError } from '../../lib/service-error.ts'
import type { TopicImage } from '../../metadata/metadata-image.ts'
import type { Acks } from '../../wire/internal.ts'
import { problemOf } from '../../wire/problem.ts'
import { sliceLines } from '../../wire/produce-lines.ts'
import { LineChunks } from './line-chunks.ts'
import { asServiceError } from './produce-answer.ts'
import type { ProduceRecords } from './produce-body.ts'
import { recordFaults, traced } from './produce-body.ts'

const LINE_FEED = 0x0a

export interface UploadRequest {
  readonly topic: TopicImage
  readonly acks: Acks
  readonly trace: RecordHeader | undefined
  readonly traceId: string
  readonly maxLineBytes: number
  /** Before anything is written: nobody may answer any more that nothing was. */
  readonly begins: () => void
}

export class Upload {
  readonly #front: Front
  readonly #request: UploadRequest
  readonly #chunks: LineChunks
  #line = 1
  #chunk = 0
  /** Ends the wait for more of the body. */
  #stop: () => void = () => undefined

  constructor(front: Front, request: UploadRequest) {
    this.#front = front
    this.#request = request
    this.#chunks = new LineChunks({
      lines: LIMITS.uploadChunkRecords,
      bytes: LIMITS.uploadChunkBytes,
      lineBytes: request.maxLineBytes,
    })
  }

  /** One line of NDJSON a chunk; the first fault is the last line. */
  async *receipts(body: AsyncIterable<Buffer>): AsyncGenerator<string> {
    const pieces = body[Symbol.asyncIterator]()
    const forget = this.#front.onDrain(() => this.#stop())
    try {
      for (let next = await this.#next(pieces); !next.done; next = await this.#next(pieces)) {
        this.#chunks.push(next.value)
        for (let chunk = this.#chunks.next(); chunk !== undefined; chunk = this.#chunks.next()) {
          yield* this.#write(chunk)
        }
      }
      const rest = this.#chunks.rest()
      if (rest !== undefined) yield* this.#write(rest)
    } catch (error) {
      const problem = problemOf(asServiceError(error), this.#request.traceId)
      yield `${JSON.stringify({ error: problem })}\n`
    } finally {
      forget()
      // Not waited for: the piece that it waits for itself may never come.
      pieces.return?.().catch(() => undefined)
    }
  }

  /** @throws ServiceError `draining`, at once: a client may be silent as long as it likes */
  #next(pieces: AsyncIterator<Buffer>): Promise<IteratorResult<Buffer>> {
    return new Promise((resolve, reject) => {
      this.#stop = () => reject(draining())
      if (this.#front.isDraining) this.#stop()
      else pieces.next().then(resolve, reject)
    })
  }

  async *#write(chunk: Buffer): AsyncGenerator<string> {
    if (this.#front.isDraining) throw draining()
    const firstLine = this.#line
    const sliced = sliceLines(chunk, firstLine)
    if ('faults' in sliced) throw recordFaults(sliced.faults)
    this.#line += countLines(chunk)
    if (sliced.records.length === 0) return
    const outcome = await this.#produce(traced(sliced, this.#request.trace))
    const written = this.#written(outcome)
    const lines = { firstLine, lastLine: Math.max(firstLine, this.#line - 1) }
    yield `${JSON.stringify({ chunk: this.#chunk++, ...lines, written })}\n`
  }

  /** @throws ServiceError if nothing of the chunk was written */
  #written({ parts, partOf, timesMs }: ProduceOutcome): object[] {
    const { topic, traceId } = this.#request
    const counts = parts.map(() => (partOf === undefined ? timesMs.length : 0))
    for (const part of partOf ?? []) counts[part] = (counts[part] as number) + 1
    const failures = parts.filter(({ result }) => !result.ok)
    const [failure] = failures
    if (failure !== undefined && failures.length === parts.length && !failure.result.ok) {
      throw refusalError(failure.result, topic, failure.partition)
    }
    return parts.map(({ partition, result, firstOffset }, i) => {
      const part = { partition, records: counts[i] }
      if (result.ok) return { ...part, firstOffset }
      return { ...part, error: problemOf(refusalError(result, topic, partition), traceId) }
    })
  }

  #produce({ records, locate }: ProduceRecords): Promise<ProduceOutcome> {
    const { topic, acks, begins } = this.#request
    if (this.#chunk === 0) begins()
    return new Promise((resolve) => {
      this.#front.producer.produce(
        { topic, acks, records, expectedTail: undefined, locate },
        resolve,
      )
    })
  }
}

function draining(): ServiceError {
  return new ServiceError('draining', 'the node is shutting down')
}

/** The last line may lack its line feed. */
function countLines(chunk: Buffer): number {
  let lines = chunk.at(-1) === LINE_FEED ? 0 : 1
  let at = chunk.indexOf(LINE_FEED)
  for (; at !== -1; at = chunk.indexOf(LINE_FEED, at + 1)) lines++
  return lines
}

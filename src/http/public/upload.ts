/**
 * Produce with `stream=true`: takes lines as long as they come, writes them a chunk at a time, and
 * gives one receipt a chunk. The next chunk is read when the receipt of the last was taken.
 */
import { LIMITS } from '../../core/limits.ts'
import type { RecordHeader } from '../../core/record.ts'
import type { Front } from '../../front/front.ts'
import type { ProduceOutcome } from '../../front/produce.ts'
import { ServiceError } from '../../lib/service-error.ts'
import type { TopicImage } from '../../metadata/metadata-image.ts'
import type { Acks } from '../../wire/internal.ts'
import { problemOf } from '../../wire/problem.ts'
import { sliceLines } from '../../wire/produce-lines.ts'
import { LineChunks } from './line-chunks.ts'
import { asServiceError, produceAnswer } from './produce-answer.ts'
import type { ProduceRecords } from './produce-body.ts'
import { recordFaults, traced } from './produce-body.ts'

export interface UploadRequest {
  readonly topic: TopicImage
  readonly acks: Acks
  readonly trace: RecordHeader | undefined
  readonly traceId: string
  readonly maxLineBytes: number
}

export class Upload {
  readonly #front: Front
  readonly #request: UploadRequest
  readonly #chunks: LineChunks
  #line = 1

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
    try {
      for await (const piece of body) {
        this.#chunks.push(piece)
        for (let chunk = this.#chunks.next(); chunk !== undefined; chunk = this.#chunks.next()) {
          yield* this.#write(chunk)
        }
      }
      const rest = this.#chunks.rest()
      if (rest !== undefined) yield* this.#write(rest)
    } catch (error) {
      const problem = problemOf(asServiceError(error), this.#request.traceId)
      yield `${JSON.stringify({ error: problem })}\n`
    }
  }

  async *#write(chunk: Buffer): AsyncGenerator<string> {
    const { topic, trace, traceId } = this.#request
    if (this.#front.isDraining) throw new ServiceError('draining', 'the node is shutting down')
    const sliced = sliceLines(chunk, this.#line)
    if ('faults' in sliced) throw recordFaults(sliced.faults)
    this.#line += countLines(chunk)
    if (sliced.records.length === 0) return
    const produced = traced(sliced, trace)
    const outcome = await this.#produce(produced)
    const { receipts } = produceAnswer(topic, produced.records, outcome, traceId)
    yield `{"records":${receipts}}\n`
  }

  #produce({ records, locate }: ProduceRecords): Promise<ProduceOutcome> {
    const { topic, acks } = this.#request
    return new Promise((resolve) => {
      this.#front.producer.produce(
        { topic, acks, records, expectedTail: undefined, locate },
        resolve,
      )
    })
  }
}

function countLines(chunk: Buffer): number {
  let lines = 0
  for (let at = chunk.indexOf(0x0a); at !== -1; at = chunk.indexOf(0x0a, at + 1)) lines++
  return lines
}

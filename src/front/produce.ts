/**
 * Takes the records of one request: checks them, gives each its partition, hands them to the
 * batcher, and joins what became of them. Either all records are taken or none.
 */
import { BATCH_HEADER_BYTES, encodedBatchBytes, MAX_BATCH_BYTES } from '../core/record-batch.ts'
import { partitionOfKey } from '../core/slot-map.ts'
import type { Clock } from '../env/clock.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { TopicImage } from '../metadata/metadata-image.ts'
import type { Acks } from '../wire/internal.ts'
import type { ProduceBatcher } from './produce-batcher.ts'
import type { AppendResult, Settle } from './produce-lane.ts'
import type { Locate, ProduceRecord } from './record-check.ts'
import { RecordCheck } from './record-check.ts'
import type { StickyPartitioner } from './sticky-partitioner.ts'

/** The tail at which alone the records may be appended. */
export interface ExpectedTail {
  readonly partition: number
  readonly offset: number
}

export interface ProduceRequest {
  readonly topic: TopicImage
  readonly acks: Acks
  /** At least one. */
  readonly records: readonly ProduceRecord[]
  readonly expectedTail: ExpectedTail | undefined
  readonly locate: Locate
}

/** What became of the records of one partition. */
export interface ProducePart {
  readonly partition: number
  readonly result: AppendResult
  /** Offset of the first of them, the others follow in request order; -1 if they were refused. */
  readonly firstOffset: number
}

export interface ProduceOutcome {
  readonly parts: readonly ProducePart[]
  /** For each record the index of its part; undefined when there is only one part. */
  readonly partOf: Uint16Array | undefined
  /** The time of each record; the records themselves are let go when they are on their way. */
  readonly timesMs: readonly number[]
  /** How long the last of the parts waited in this front, and all of them for storage. */
  readonly queueMs: number
  readonly storageMs: number
}

interface Split {
  readonly partitions: number[]
  readonly records: readonly (readonly ProduceRecord[])[]
  readonly sizesBytes: number[]
  readonly partOf: Uint16Array | undefined
}

export class Producer {
  readonly #clock: Clock
  readonly #partitioner: StickyPartitioner
  readonly #batcher: ProduceBatcher

  constructor(deps: {
    clock: Clock
    partitioner: StickyPartitioner
    batcher: ProduceBatcher
  }) {
    this.#clock = deps.clock
    this.#partitioner = deps.partitioner
    this.#batcher = deps.batcher
  }

  /**
   * `done` is called once, when all parts are settled; a part that failed does not stop the others.
   * @throws ServiceError for what is wrong with the request; then nothing is written
   */
  produce(request: ProduceRequest, done: (outcome: ProduceOutcome) => void): void {
    const { topic, acks, expectedTail } = request
    const { partitions, records, sizesBytes, partOf } = this.#split(request)
    let totalBytes = 0
    for (const sizeBytes of sizesBytes) totalBytes += sizeBytes
    this.#batcher.reserve(partitions.length, totalBytes)
    const timesMs = request.records.map(({ timestampMs }) => timestampMs)
    const parts: ProducePart[] = []
    let open = partitions.length
    const startMs = this.#clock.monotonicMs()
    let lastSentMs = startMs
    for (const [i, partition] of partitions.entries()) {
      const settle: Settle = (result, firstOffset, sentMs = startMs) => {
        parts[i] = { partition, result, firstOffset }
        lastSentMs = Math.max(lastSentMs, sentMs)
        if (--open > 0) return
        const storageMs = this.#clock.monotonicMs() - lastSentMs
        done({ parts, partOf, timesMs, queueMs: lastSentMs - startMs, storageMs })
      }
      this.#batcher.add(topic, partition, acks, {
        records: records[i] as readonly ProduceRecord[],
        sizeBytes: sizesBytes[i] as number,
        expectedOffset: expectedTail?.offset,
        settle,
      })
    }
  }

  #split(request: ProduceRequest): Split {
    const { topic, records, expectedTail } = request
    const check = new RecordCheck(topic, this.#clock.nowMs(), request.locate)
    const keyless = expectedTail?.partition ?? this.#partitioner.partitionOf(topic)
    const partitions: number[] = []
    const sizesBytes: number[] = []
    const indexes = new Map<number, number>()
    let partOf: Uint16Array | undefined
    let index = -1
    for (let i = 0; i < records.length; i++) {
      const record = records[i] as ProduceRecord
      const sizeBytes = check.check(record, i)
      const partition = partitionOf(topic, record, keyless)
      if (partition !== partitions[index]) {
        index = indexes.get(partition) ?? indexes.size
        if (index === indexes.size) {
          indexes.set(partition, index)
          partitions.push(partition)
          sizesBytes.push(0)
        }
        if (i > 0) partOf ??= new Uint16Array(records.length)
      }
      if (partOf !== undefined) partOf[i] = index
      sizesBytes[index] = (sizesBytes[index] as number) + sizeBytes
    }
    check.finish()
    const parts = recordsByPart(records, partOf, partitions.length)
    for (const [i, sizeBytes] of sizesBytes.entries()) {
      checkBatch(parts[i] as readonly ProduceRecord[], sizeBytes)
    }
    checkTail(partitions, expectedTail)
    return { partitions, records: parts, sizesBytes, partOf }
  }
}

/** The partition that the record names, else its key's, else that of records without either. */
function partitionOf(topic: TopicImage, record: ProduceRecord, keyless: number): number {
  if (record.partition !== -1) return record.partition
  return record.key === null ? keyless : partitionOfKey(topic.slotMap, record.key)
}

function recordsByPart(
  records: readonly ProduceRecord[],
  partOf: Uint16Array | undefined,
  count: number,
): (readonly ProduceRecord[])[] {
  if (partOf === undefined) return [records]
  const parts = Array.from({ length: count }, (): ProduceRecord[] => [])
  for (const [i, record] of records.entries()) parts[partOf[i] as number]?.push(record)
  return parts
}

/** What one request has for one partition is one batch, and must fit into one. */
function checkBatch(records: readonly ProduceRecord[], sizeBytes: number): void {
  if (sizeBytes + BATCH_HEADER_BYTES <= MAX_BATCH_BYTES) return
  if (encodedBatchBytes(records) <= MAX_BATCH_BYTES) return
  throw new ServiceError('body-too-large', 'the records take too much room when stored', {
    members: { limit: MAX_BATCH_BYTES },
  })
}

function checkTail(partitions: readonly number[], tail: ExpectedTail | undefined): void {
  if (tail === undefined) return
  if (partitions.length === 1 && partitions[0] === tail.partition) return
  throw new ServiceError(
    'invalid-request',
    `with If-Match all records must go to partition ${tail.partition}, whose tail the cursor names`,
  )
}

/** What a record must be like to be taken: its size, its time, its headers. Gives it the front's time. */
import { LIMITS } from '../core/limits.ts'
import type { RecordInput } from '../core/record.ts'
import { RESERVED_HEADER_PREFIX } from '../core/record.ts'
import { encodedRecordBytes } from '../core/record-batch.ts'
import { isCompacted } from '../core/topic.ts'
import type { FaultDetail } from '../lib/service-error.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { TopicImage } from '../metadata/metadata-image.ts'

/** A record as a request names it. */
export interface ProduceRecord extends RecordInput {
  /** NaN: the front stamps it. */
  timestampMs: number
  /** -1: the record names none. */
  readonly partition: number
}

/** Where a record stands in the request: a JSON pointer or a line; `field` is a part of it. */
export type Locate = (index: number, field?: string) => string

/** Faults that one answer lists. */
const FAULTS_LISTED = 20

export class RecordCheck {
  readonly #topic: TopicImage
  readonly #keyRequired: boolean
  readonly #nowMs: number
  readonly #locate: Locate
  readonly #faults: FaultDetail[] = []

  constructor(topic: TopicImage, nowMs: number, locate: Locate) {
    this.#topic = topic
    this.#keyRequired = isCompacted(topic.config)
    this.#nowMs = nowMs
    this.#locate = locate
  }

  /**
   * Checks and stamps one record; returns an upper bound of its bytes in a batch.
   * @throws ServiceError `record-too-large`, `partition-not-found`, `key-required`
   */
  check(record: ProduceRecord, index: number): number {
    const nowMs = this.#nowMs
    if (Number.isNaN(record.timestampMs)) record.timestampMs = nowMs
    else if (!(record.timestampMs >= 0 && record.timestampMs <= nowMs + LIMITS.futureTimestampMs)) {
      this.#fault(index, 'timestamp', 'must not lie more than an hour in the future')
    }
    if (record.key !== null && record.key.length > LIMITS.keyBytes) {
      this.#fault(index, 'key', `must be at most ${LIMITS.keyBytes} bytes`)
    }
    if (record.key === null && this.#keyRequired) this.#refuseKeyless(index)
    if (record.headers.length > 0) this.#checkHeaders(record, index)
    if (record.partition >= this.#topic.partitions.length) {
      throw new ServiceError(
        'partition-not-found',
        `topic ${this.#topic.name} has no partition ${record.partition}`,
        { errors: [{ pointer: this.#locate(index, 'partition'), detail: 'no such partition' }] },
      )
    }
    const sizeBytes = encodedRecordBytes(record)
    if (sizeBytes > this.#topic.config.maxRecordBytes) this.#checkSize(record, index)
    return sizeBytes
  }

  /** @throws ServiceError `invalid-record` with the faults that were met */
  finish(): void {
    const [first] = this.#faults
    if (first === undefined) return
    throw new ServiceError('invalid-record', `${first.pointer} ${first.detail}`, {
      errors: this.#faults.slice(0, FAULTS_LISTED),
    })
  }

  #refuseKeyless(index: number): never {
    const { name, config } = this.#topic
    const detail = `topic ${name} keeps the last record of each key (cleanup is ${config.cleanup})`
    throw new ServiceError('key-required', detail, {
      errors: [{ pointer: this.#locate(index, 'key'), detail: 'is missing' }],
    })
  }

  #checkHeaders(record: ProduceRecord, index: number): void {
    if (record.headers.length > LIMITS.headersPerRecord) {
      this.#fault(index, 'headers', `must be at most ${LIMITS.headersPerRecord}`)
    }
    for (const { name } of record.headers) {
      if (name.startsWith(RESERVED_HEADER_PREFIX)) {
        this.#fault(
          index,
          'headers',
          `names that start with ${RESERVED_HEADER_PREFIX} are reserved`,
        )
      }
    }
  }

  /** The bound is on what the client sent, not on what the format adds. */
  #checkSize(record: ProduceRecord, index: number): void {
    let sizeBytes = (record.key?.length ?? 0) + (record.value?.length ?? 0)
    for (const { name, value } of record.headers) {
      sizeBytes += Buffer.byteLength(name) + (value?.length ?? 0)
    }
    const limit = this.#topic.config.maxRecordBytes
    if (sizeBytes <= limit) return
    throw new ServiceError('record-too-large', `the record has ${sizeBytes} bytes`, {
      members: { limit },
      errors: [{ pointer: this.#locate(index), detail: `must be at most ${limit} bytes` }],
    })
  }

  #fault(index: number, field: string, detail: string): void {
    this.#faults.push({ pointer: this.#locate(index, field), detail })
  }
}

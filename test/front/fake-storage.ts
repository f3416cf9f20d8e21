/** A StorageService that keeps batches in arrays: the semantics of a leader without replicas. */
import type { PartitionKey, TopicId } from '../../src/core/ids.ts'
import { partitionKey } from '../../src/core/ids.ts'
import {
  batchBaseOffset,
  batchLastOffset,
  batchLeaderEpoch,
  batchMaxTimestamp,
  stampBatch,
} from '../../src/core/record-batch.ts'
import { RecordCursor } from '../../src/core/record-cursor.ts'
import type { Clock } from '../../src/env/clock.ts'
import { ServiceError } from '../../src/lib/service-error.ts'
import type {
  Appended,
  AppendRequest,
  Fetched,
  FetchPosition,
  FetchRequest,
  FetchResult,
  OffsetQuery,
  PartitionOffsets,
  PartitionPlace,
  Refusal,
  StorageService,
} from '../../src/wire/internal.ts'

interface Log {
  batches: Uint8Array[]
  start: number
  end: number
  epoch: number
}

interface Waiter {
  readonly request: FetchRequest
  wake(): void
}

export class FakeStorage implements StorageService {
  /** Every append call, as the partitions that it wrote to. */
  readonly calls: AppendRequest[][] = []
  /** Every fetch, as it was asked for. */
  readonly fetches: FetchRequest[] = []
  /** Answers for partitions that cannot be served. */
  readonly refusals = new Map<PartitionKey, Refusal>()
  readonly #logs = new Map<PartitionKey, Log>()
  readonly #waiters = new Set<Waiter>()
  #held: (() => void)[] | undefined
  readonly #clock: Clock | undefined

  /** Without a clock waiting fetches end only by `expireWaits`. */
  constructor(clock?: Clock) {
    this.#clock = clock
  }
  /** Called before each fetch is answered; a test makes it wait. */
  beforeFetch: () => Promise<void> | undefined = () => undefined

  get waiting(): number {
    return this.#waiters.size
  }

  /** From now on appends are admitted, but not answered until `release`. */
  hold(): void {
    this.#held ??= []
  }

  release(): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const answer of held) answer()
  }

  append(requests: readonly AppendRequest[]): Promise<Appended | Refusal>[] {
    this.calls.push([...requests])
    return requests.map((request) => {
      const result = this.#admit(request)
      if (this.#held === undefined) return Promise.resolve(result)
      return new Promise((resolve) => {
        this.#held?.push(() => resolve(result))
      })
    })
  }

  /** Appends a batch past the front, as another front would. */
  appendBatch(topicId: TopicId, partition: number, batch: Uint8Array): void {
    this.#admit({ topicId, partition, acks: -1, batch })
  }

  #admit(request: AppendRequest): Appended | Refusal {
    const key = partitionKey(request.topicId, request.partition)
    const refusal = this.refusals.get(key)
    if (refusal !== undefined) return refusal
    const log = this.#log(key)
    if (request.expectedOffset !== undefined && request.expectedOffset !== log.end) {
      return {
        ok: false,
        code: 'precondition-failed',
        detail: 'the tail has moved',
        committed: 'no',
        members: { tail: log.end },
      }
    }
    stampBatch(request.batch, { baseOffset: log.end, leaderEpoch: log.epoch })
    const baseOffset = log.end
    log.batches.push(request.batch)
    log.end = batchLastOffset(request.batch) + 1
    for (const waiter of this.#waiters) waiter.wake()
    return { ok: true, baseOffset, appendTimeMs: -1 }
  }

  async fetch(request: FetchRequest, signal: AbortSignal): Promise<FetchResult[]> {
    this.fetches.push(request)
    await this.beforeFetch()
    signal.throwIfAborted()
    const results = this.#read(request)
    if (results.length > 0 || request.waitMs === 0) return results
    return new Promise((resolve, reject) => {
      const settle = (give: () => void) => {
        this.#waiters.delete(waiter)
        this.#expire.delete(expire)
        signal.removeEventListener('abort', abort)
        timer?.cancel()
        give()
      }
      const waiter: Waiter = {
        request,
        wake: () => {
          const found = this.#read(request)
          if (found.length > 0) settle(() => resolve(found))
        },
      }
      const expire = () => settle(() => resolve([]))
      const abort = () => settle(() => reject(signal.reason))
      this.#waiters.add(waiter)
      this.#expire.add(expire)
      signal.addEventListener('abort', abort)
      const timer = this.#clock?.timer(request.waitMs, expire)
    })
  }

  readonly #expire = new Set<() => void>()

  /** Ends all waiting fetches, as if their time had passed. */
  expireWaits(): void {
    for (const expire of [...this.#expire]) expire()
  }

  async resolveOffset(topicId: TopicId, partition: number, at: OffsetQuery) {
    const log = this.#served(topicId, partition)
    return { offset: offsetOf(log, at), lastEpoch: -1 }
  }

  offsets(topicId: TopicId, partition: number): PartitionOffsets {
    const log = this.#served(topicId, partition)
    return {
      logStartOffset: log.start,
      highWatermark: log.end,
      logEndOffset: log.end,
      sizeBytes: log.batches.reduce((sum, batch) => sum + batch.length, 0),
      leaderEpoch: log.epoch,
    }
  }

  async offsetsOf(places: readonly PartitionPlace[]) {
    return places.map(({ topicId, partition }) => this.offsetsNow(topicId, partition))
  }

  offsetsNow(topicId: TopicId, partition: number): PartitionOffsets | undefined {
    try {
      return this.offsets(topicId, partition)
    } catch {
      return undefined
    }
  }

  async deleteRecords(topicId: TopicId, partition: number, before: number) {
    const log = this.#served(topicId, partition)
    if (before > log.end) {
      throw new ServiceError('offset-out-of-range', 'beyond the high watermark', {
        members: { tail: log.end },
      })
    }
    log.start = Math.max(log.start, before)
    log.batches = log.batches.filter((batch) => batchLastOffset(batch) >= log.start)
    return { logStartOffset: log.start }
  }

  #served(topicId: TopicId, partition: number): Log {
    const key = partitionKey(topicId, partition)
    const refusal = this.refusals.get(key)
    if (refusal !== undefined) throw new ServiceError(refusal.code, refusal.detail)
    return this.#log(key)
  }

  #log(key: PartitionKey): Log {
    let log = this.#logs.get(key)
    if (log === undefined) {
      log = { batches: [], start: 0, end: 0, epoch: 7 }
      this.#logs.set(key, log)
    }
    return log
  }

  #read(request: FetchRequest): FetchResult[] {
    const results: FetchResult[] = []
    let bytesLeft = request.maxBytes
    for (const position of request.positions) {
      const result = this.#readOne(position, bytesLeft, results.length === 0)
      if (result === undefined) continue
      results.push(result)
      if (result.ok) for (const batch of result.batches) bytesLeft -= batch.length
    }
    return results
  }

  #readOne(position: FetchPosition, bytesLeft: number, isFirst: boolean): FetchResult | undefined {
    const { topicId, partition, offset } = position
    const key = partitionKey(topicId, partition)
    const refusal = this.refusals.get(key)
    if (refusal !== undefined) return { ...refusal, topicId, partition }
    const log = this.#log(key)
    const base = { ok: false as const, topicId, partition, committed: 'no' as const }
    if (offset < log.start) {
      const members = { earliest: log.start }
      return { ...base, code: 'cursor-expired', detail: 'trimmed', members }
    }
    if (offset > log.end) {
      const members = { tail: log.end }
      return { ...base, code: 'offset-out-of-range', detail: 'past the end', members }
    }
    const batches: Uint8Array[] = []
    let nextOffset = offset
    let left = bytesLeft
    for (const batch of log.batches) {
      if (batchLastOffset(batch) < offset) continue
      if (batch.length > left && !(isFirst && batches.length === 0)) break
      batches.push(new Uint8Array(batch))
      left -= batch.length
      nextOffset = batchLastOffset(batch) + 1
    }
    if (batches.length === 0) return undefined
    const { start: logStartOffset, end: highWatermark } = log
    const found: Fetched = {
      ok: true,
      topicId,
      partition,
      batches,
      nextOffset,
      highWatermark,
      logStartOffset,
      // Others may write there now.
      release: () => {
        for (const batch of batches) batch.fill(0xdb)
      },
    }
    return found
  }
}

function offsetOf(log: Log, at: OffsetQuery): number {
  if (at === 'earliest') return log.start
  if (at === 'latest') return log.end
  if ('last' in at) return Math.max(log.start, log.end - at.last)
  const cursor = new RecordCursor()
  for (const batch of log.batches) {
    if (batchMaxTimestamp(batch) < at.timeMs) continue
    cursor.reset(batch)
    while (cursor.next()) if (cursor.timestampMs >= at.timeMs) return cursor.offset
  }
  return log.end
}

/** The values of the records in batches, as text, with their offsets. */
export function valuesIn(batches: readonly Uint8Array[]): { offset: number; value: string }[] {
  const cursor = new RecordCursor()
  const found: { offset: number; value: string }[] = []
  for (const batch of batches) {
    cursor.reset(batch)
    while (cursor.next()) {
      const bytes = cursor.bytes.subarray(cursor.valueStart, cursor.valueEnd)
      found.push({ offset: cursor.offset, value: Buffer.from(bytes).toString() })
    }
  }
  return found
}

export function baseAndEpoch(batch: Uint8Array): [number, number] {
  return [batchBaseOffset(batch), batchLeaderEpoch(batch)]
}

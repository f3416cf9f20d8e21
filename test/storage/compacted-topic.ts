/** A compacted topic on a simulated node, and what a reader of it knows in the end. */
import { expect } from 'vitest'
import type { TopicId } from '../../src/core/ids.ts'
import { encodeBatch } from '../../src/core/record-batch.ts'
import { RecordCursor } from '../../src/core/record-cursor.ts'
import type { TopicConfig } from '../../src/core/topic.ts'
import type { ReplicaManager } from '../../src/replication/replica-manager.ts'
import type { PartitionLog } from '../../src/storage/partition-log.ts'
import type { ReplicaHarness } from '../replication/replica-harness.ts'
import { fetchOnce, NEVER } from '../replication/replica-harness.ts'

export const COMPACTED: Partial<TopicConfig> = {
  cleanup: 'compact',
  minCleanableDirtyRatio: 0,
  deleteRetentionMs: 1_000,
}

export interface KeyedRecord {
  readonly offset: number
  readonly key: string | null
  /** Null: a tombstone. */
  readonly value: string | null
  readonly timestampMs: number
}

export type Entry = readonly [key: string | null, value: string | null]

export function keyedBatch(entries: readonly Entry[], timestampMs = 1_000): Uint8Array {
  return encodeBatch(
    entries.map(([key, value], i) => ({
      key: key === null ? null : Buffer.from(key),
      value: value === null ? null : Buffer.from(value),
      headers: [],
      timestampMs: timestampMs + i,
      media: 2 as const,
    })),
  )
}

export function keyedRecords(batches: readonly Uint8Array[], fromOffset = 0): KeyedRecord[] {
  const cursor = new RecordCursor()
  const text = (batch: Uint8Array, start: number, end: number) =>
    start === -1 ? null : Buffer.from(batch.subarray(start, end)).toString()
  const records: KeyedRecord[] = []
  for (const batch of batches) {
    cursor.reset(batch)
    while (cursor.next()) {
      if (cursor.offset < fromOffset) continue
      const { offset, timestampMs, keyStart, keyEnd, valueStart, valueEnd } = cursor
      const key = text(batch, keyStart, keyEnd)
      records.push({ offset, key, value: text(batch, valueStart, valueEnd), timestampMs })
    }
    expect(cursor.fault).toBeUndefined()
  }
  return records
}

export class CompactedTopic {
  readonly harness: ReplicaHarness
  readonly id: TopicId
  manager: ReplicaManager

  constructor(harness: ReplicaHarness, manager: ReplicaManager, id: TopicId) {
    this.harness = harness
    this.manager = manager
    this.id = id
  }

  static async open(
    harness: ReplicaHarness,
    config: Partial<TopicConfig> = {},
  ): Promise<CompactedTopic> {
    const id = harness.metadata.put('compacted', { ...COMPACTED, ...config })
    return new CompactedTopic(harness, await harness.open(), id)
  }

  get log(): PartitionLog {
    const log = this.manager.storage.find(this.id, 0)
    if (log === undefined) throw new Error('the log is gone')
    return log
  }

  /** Lets time pass until the promise settles, or the machine stops. */
  async run<T>(promise: Promise<T>): Promise<T> {
    const { clock, fileSystem } = this.harness
    const stopped = fileSystem.ended.then(() => {
      throw new Error('the machine has stopped')
    })
    return await clock.run(Promise.race([promise, stopped]))
  }

  /** Appends one batch; resolves to its base offset. */
  async append(...entries: readonly Entry[]): Promise<number> {
    const batch = keyedBatch(entries, this.harness.clock.nowMs())
    const request = { topicId: this.id, partition: 0, acks: -1 as const, batch }
    const [answer] = this.manager.append([request], NEVER)
    const result = await this.run(answer as NonNullable<typeof answer>)
    if (!result.ok) throw new Error(`${result.code}: ${result.detail}`)
    return result.baseOffset
  }

  /** Closes the active segment, and has a checkpoint know of it. */
  async close(): Promise<void> {
    this.manager.storage.appender.roll(this.log)
    await this.run(this.manager.storage.checkpoints.run(false))
  }

  /** One pass over all logs that are due. */
  async compact(): Promise<void> {
    await this.run(this.manager.storage.compactor.run())
  }

  /** All that a reader gets from the offset on. */
  async read(fromOffset = this.log.startOffset, maxBytes = 8 * 1024): Promise<KeyedRecord[]> {
    const records: KeyedRecord[] = []
    let offset = fromOffset
    for (;;) {
      const result = await fetchOnce(this.manager, this.id, offset, maxBytes)
      if (result === undefined) return records
      if (!result.ok) throw new Error(`${result.code}: ${result.detail}`)
      records.push(...keyedRecords(result.batches, offset))
      offset = result.nextOffset
    }
  }

  async reopen(stop: () => void): Promise<void> {
    stop()
    this.manager = await this.harness.clock.run(this.harness.open())
  }
}

/** What is left of a log when the last record of each key counts. */
export function latest(records: readonly KeyedRecord[]): ReadonlyMap<string, string> {
  const state = new Map<string, string>()
  for (const { key, value } of records) {
    if (key === null) continue
    if (value === null) state.delete(key)
    else state.set(key, value)
  }
  return state
}

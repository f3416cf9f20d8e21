/** A node's partitions on a simulated disk that does not wait, and what tests ask of them. */
import type { TopicId, TopicName } from '../../src/core/ids.ts'
import { encodeBatch } from '../../src/core/record-batch.ts'
import { RecordCursor } from '../../src/core/record-cursor.ts'
import { initialSlotMap } from '../../src/core/slot-map.ts'
import type { TopicConfig } from '../../src/core/topic.ts'
import { defaultTopicConfig } from '../../src/core/topic.ts'
import type { Logger } from '../../src/env/logger.ts'
import { nullLogger } from '../../src/env/logger.ts'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import type { MetadataImage, MetadataView, TopicImage } from '../../src/metadata/metadata-image.ts'
import type { ReplicaManagerOptions } from '../../src/replication/replica-manager.ts'
import { ReplicaManager } from '../../src/replication/replica-manager.ts'
import type { AppendRequest, FetchResult } from '../../src/wire/internal.ts'
import { SimClock } from '../sim/sim-clock.ts'
import { SimFileSystem } from '../sim/sim-file-system.ts'

export const NEVER = new AbortController().signal
export const DATA = '/data'

/** Small enough that a few records roll segments, overflow memory and fill journal files. */
export const SMALL = {
  memoryBytes: 16 * 1024,
  maxUnwrittenBytes: 8 * 1024,
  maxJournalBytes: 192 * 1024,
  ballastBytes: 0,
  minFreeBytes: 0,
  journal: { fileBytes: 64 * 1024, groupBytes: 16 * 1024, spareFilesMax: 2 },
} as const

/** Metadata that a test changes by hand. */
export class TestMetadata implements MetadataView {
  image: MetadataImage = {
    clusterId: 'test-cluster',
    version: 1,
    topics: new Map(),
    topicsById: new Map(),
    nodes: new Map(),
    controller: undefined,
    members: new Map(),
    removedTopics: new Map(),
  }
  readonly #listeners = new Set<(image: MetadataImage) => void>()

  onChange(listener: (image: MetadataImage) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  put(name: string, config: Partial<TopicConfig> = {}, partitions = 1, leaderEpoch = 0): TopicId {
    const known = this.image.topics.get(name as TopicName)
    const id = known?.id ?? idOf(this.image.version)
    const topic: TopicImage = {
      name: name as TopicName,
      id,
      config: { ...defaultTopicConfig(1), ...known?.config, ...config },
      slotMap: initialSlotMap(1),
      createdAtMs: 0,
      partitions: Array.from({ length: known?.partitions.length ?? partitions }, () => ({
        replicas: [1],
        leader: 1,
        leaderEpoch,
        isr: [1],
        elr: [],
        state: 'active',
        revision: this.image.version + 1,
      })),
    }
    this.#publish(new Map(this.image.topics).set(topic.name, topic), this.image.removedTopics)
    return id
  }

  remove(name: string): void {
    const topics = new Map(this.image.topics)
    const topic = topics.get(name as TopicName)
    if (topic === undefined) throw new Error(`no topic ${name}`)
    topics.delete(topic.name)
    this.#publish(topics, new Map(this.image.removedTopics).set(topic.id, 0))
  }

  #publish(topics: MetadataImage['topics'], removedTopics: MetadataImage['removedTopics']): void {
    this.image = {
      ...this.image,
      version: this.image.version + 1,
      topics,
      topicsById: new Map([...topics.values()].map((topic) => [topic.id, topic])),
      removedTopics,
    }
    for (const listener of this.#listeners) listener(this.image)
  }
}

function idOf(number: number): TopicId {
  return number.toString(16).padStart(32, '0') as TopicId
}

export class ReplicaHarness {
  readonly random: SeededRandom
  readonly metadata = new TestMetadata()
  readonly options: Partial<ReplicaManagerOptions>
  readonly fatal: unknown[] = []
  fileSystem: SimFileSystem
  clock = new SimClock({ immediates: 'microtask' })
  logger: Logger = nullLogger

  constructor(options: Partial<ReplicaManagerOptions> = {}, seed = 1) {
    this.options = { ...SMALL, ...options }
    this.random = new SeededRandom(seed)
    this.fileSystem = new SimFileSystem({ random: this.random })
  }

  async open(): Promise<ReplicaManager> {
    const opening = ReplicaManager.open(
      {
        fileSystem: this.fileSystem,
        clock: this.clock,
        random: this.random,
        logger: this.logger,
        metadata: this.metadata,
        onFatal: (error) => this.fatal.push(error),
      },
      { dataDirectory: DATA, nodeId: 1, ...this.options },
    )
    return await opening
  }

  /** The process ends, the machine goes on. */
  kill(): void {
    this.fileSystem = this.fileSystem.kill()
    this.#reboot()
  }

  /** Power fails: of what was not synced any part is left. */
  crash(): void {
    this.fileSystem = this.fileSystem.crash(this.random)
    this.#reboot()
  }

  #reboot(): void {
    const startMs = this.clock.nowMs()
    this.clock = new SimClock({ immediates: 'microtask', startMs })
  }
}

export function batchOf(values: readonly string[], timestampMs = 1_000): Uint8Array {
  return encodeBatch(
    values.map((value) => ({
      key: null,
      value: Buffer.from(value),
      headers: [],
      timestampMs,
      media: 2 as const,
    })),
  )
}

export function request(
  topicId: TopicId,
  values: readonly string[],
  options: Partial<AppendRequest> & { timestampMs?: number } = {},
): AppendRequest {
  const { timestampMs, ...rest } = options
  return { topicId, partition: 0, acks: -1, batch: batchOf(values, timestampMs), ...rest }
}

/** Appends one batch and waits for its acknowledgement. */
export async function append(
  manager: ReplicaManager,
  topicId: TopicId,
  values: readonly string[],
  options: Partial<AppendRequest> & { timestampMs?: number } = {},
) {
  const [answer] = manager.append([request(topicId, values, options)], NEVER)
  if (answer === undefined) throw new Error('a request has an answer')
  return await answer
}

export interface ReadRecord {
  readonly offset: number
  readonly value: string
}

export function recordsOf(batches: readonly Uint8Array[], fromOffset = 0): ReadRecord[] {
  const cursor = new RecordCursor()
  const records: ReadRecord[] = []
  for (const batch of batches) {
    cursor.reset(batch)
    while (cursor.next()) {
      if (cursor.offset < fromOffset) continue
      const value = Buffer.from(batch.subarray(cursor.valueStart, cursor.valueEnd)).toString()
      records.push({ offset: cursor.offset, value })
    }
  }
  return records
}

/** One fetch of one partition, without waiting. */
export async function fetchOnce(
  manager: ReplicaManager,
  topicId: TopicId,
  offset: number,
  maxBytes = 64 * 1024,
  partition = 0,
): Promise<FetchResult | undefined> {
  const positions = [{ topicId, partition, offset, lastEpoch: -1 }]
  const [result] = await manager.fetch(
    { positions, maxBytes, waitMs: 0, isolation: 'committed' },
    NEVER,
  )
  return result
}

/** All records of a partition from an offset on. */
export async function readAll(
  manager: ReplicaManager,
  topicId: TopicId,
  fromOffset = 0,
  partition = 0,
  maxBytes = 8 * 1024,
): Promise<ReadRecord[]> {
  const records: ReadRecord[] = []
  let offset = fromOffset
  for (;;) {
    const result = await fetchOnce(manager, topicId, offset, maxBytes, partition)
    if (result === undefined) return records
    if (!result.ok) throw new Error(`${result.code}: ${result.detail}`)
    records.push(...recordsOf(result.batches, offset))
    offset = result.nextOffset
  }
}

export const valuesOf = (records: readonly ReadRecord[]): string[] =>
  records.map(({ value }) => value)

/** Topic images and records for tests of the front. */
import type { TopicName } from '../../src/core/ids.ts'
import { topicIdFromBytes } from '../../src/core/ids.ts'
import { MEDIA } from '../../src/core/record.ts'
import { initialSlotMap } from '../../src/core/slot-map.ts'
import type { TopicConfig } from '../../src/core/topic.ts'
import { defaultTopicConfig } from '../../src/core/topic.ts'
import type { ProduceRecord } from '../../src/front/record-check.ts'
import type { MetadataImage, MetadataView, TopicImage } from '../../src/metadata/metadata-image.ts'

export function topicImage(
  name: string,
  partitions: number,
  config: Partial<TopicConfig> = {},
  idSeed = name.length,
): TopicImage {
  return {
    name: name as TopicName,
    id: topicIdFromBytes(new Uint8Array(16).fill(idSeed)),
    config: { ...defaultTopicConfig(1), ...config },
    slotMap: initialSlotMap(partitions),
    createdAtMs: 0,
    partitions: Array.from({ length: partitions }, () => ({
      replicas: [1],
      leader: 1,
      leaderEpoch: 7,
      isr: [1],
      elr: [],
      state: 'active',
      revision: 1,
    })),
  }
}

export class FakeMetadata implements MetadataView {
  readonly #listeners = new Set<(image: MetadataImage) => void>()
  image: MetadataImage

  constructor(topics: readonly TopicImage[]) {
    this.image = imageOf(topics, 1)
  }

  set(topics: readonly TopicImage[], nodes = this.image.nodes): void {
    this.image = { ...imageOf(topics, this.image.version + 1), nodes }
    for (const listener of this.#listeners) listener(this.image)
  }

  onChange(listener: (image: MetadataImage) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}

function imageOf(topics: readonly TopicImage[], version: number): MetadataImage {
  return {
    clusterId: 'test',
    version,
    topics: new Map(topics.map((topic) => [topic.name, topic])),
    topicsById: new Map(topics.map((topic) => [topic.id, topic])),
    nodes: new Map([[1, { id: 1, url: '', rack: '', incarnation: 1, draining: false }]]),
    controller: undefined,
    members: new Map(),
    removedTopics: new Map(),
  }
}

export function textRecord(value: string, more: Partial<ProduceRecord> = {}): ProduceRecord {
  return {
    key: null,
    value: Buffer.from(value),
    headers: [],
    timestampMs: Number.NaN,
    media: MEDIA.text,
    partition: -1,
    ...more,
  }
}

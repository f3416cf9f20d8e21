/** Values by topic and partition. */
import type { TopicId } from './ids.ts'

export class PartitionMap<V> {
  readonly #topics = new Map<TopicId, Map<number, V>>()
  #size = 0

  get size(): number {
    return this.#size
  }

  get topicIds(): Iterable<TopicId> {
    return this.#topics.keys()
  }

  get(topicId: TopicId, partition: number): V | undefined {
    return this.#topics.get(topicId)?.get(partition)
  }

  has(topicId: TopicId, partition: number): boolean {
    return this.#topics.get(topicId)?.has(partition) === true
  }

  set(topicId: TopicId, partition: number, value: V): void {
    let partitions = this.#topics.get(topicId)
    if (partitions === undefined) {
      partitions = new Map()
      this.#topics.set(topicId, partitions)
    }
    this.#size -= partitions.size
    partitions.set(partition, value)
    this.#size += partitions.size
  }

  delete(topicId: TopicId, partition: number): void {
    const partitions = this.#topics.get(topicId)
    if (partitions?.delete(partition) !== true) return
    this.#size--
    if (partitions.size === 0) this.#topics.delete(topicId)
  }

  /** Partitions of one topic, in no order. */
  ofTopic(topicId: TopicId): ReadonlyMap<number, V> {
    return this.#topics.get(topicId) ?? NONE
  }

  /** In no order. */
  *entries(): Generator<[TopicId, number, V], void, undefined> {
    for (const [topicId, partitions] of this.#topics) {
      for (const [partition, value] of partitions) yield [topicId, partition, value]
    }
  }
}

const NONE: ReadonlyMap<number, never> = new Map<number, never>()

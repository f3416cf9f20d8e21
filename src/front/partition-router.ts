/**
 * Says which partition a record goes to: the one it names, else its key's, else the one whose turn
 * it is. The turn passes on as soon as nothing of the partition is unfinished, so that single records
 * are spread one by one, and else when it has had its share, so that many at once share batches.
 */
import { partitionOfKey } from '../core/slot-map.ts'
import type { TopicImage } from '../metadata/metadata-image.ts'

/** What a partition gets at least before the next one has its turn, while it is busy. */
const SHARE_BYTES = 64 * 1024

interface Turn {
  readonly partition: number
  bytesLeft: number
}

export class PartitionRouter {
  /** Whose turn it is. Forgotten with the image of the topic, which does no harm. */
  readonly #turns = new WeakMap<TopicImage, Turn>()

  /** Returns -1 when the topic has no partition `explicit`; `explicit` is -1 when the record names none. */
  partitionOf(topic: TopicImage, key: Uint8Array | null, explicit: number): number {
    if (explicit !== -1) return explicit < topic.partitions.length ? explicit : -1
    return key === null ? this.#turn(topic) : partitionOfKey(topic.slotMap, key)
  }

  /** All records of one request for the partition were taken. */
  taken(topic: TopicImage, partition: number, sizeBytes: number): void {
    const turn = this.#turns.get(topic)
    if (turn?.partition !== partition) return
    turn.bytesLeft -= sizeBytes
    if (turn.bytesLeft <= 0) this.#begin(topic, partition)
  }

  /** Nothing of the partition is unfinished any more. */
  idle(topic: TopicImage, partition: number): void {
    if (this.#turns.get(topic)?.partition === partition) this.#begin(topic, partition)
  }

  #turn(topic: TopicImage): number {
    const { partition = -1 } = this.#turns.get(topic) ?? {}
    const isLed = (topic.partitions[partition]?.leader ?? -1) !== -1
    return isLed ? partition : this.#begin(topic, partition)
  }

  /** The turn of the one after it. */
  #begin(topic: TopicImage, after: number): number {
    const partition = nextOf(topic, after)
    const bytesLeft = Math.min(SHARE_BYTES, topic.config.batchBytes)
    this.#turns.set(topic, { partition, bytesLeft })
    return partition
  }
}

/** The next partition that has a leader; simply the next one when none has. */
function nextOf(topic: TopicImage, partition: number): number {
  const count = topic.partitions.length
  for (let step = 1; step <= count; step++) {
    const candidate = (partition + step) % count
    if (topic.partitions[candidate]?.leader !== -1) return candidate
  }
  return (partition + 1) % count
}

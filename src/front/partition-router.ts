/**
 * Says which partition a record goes to: the one it names, else its key's, else the one whose turn
 * it is. The turn passes on by batch, so that records without a key still share batches.
 */
import { partitionOfKey } from '../core/slot-map.ts'
import type { TopicImage } from '../metadata/metadata-image.ts'

export class PartitionRouter {
  /** Whose turn it is. Forgotten with the image of the topic, which does no harm. */
  readonly #turns = new WeakMap<TopicImage, number>()

  /** Returns -1 when the topic has no partition `explicit`; `explicit` is -1 when the record names none. */
  partitionOf(topic: TopicImage, key: Uint8Array | null, explicit: number): number {
    if (explicit !== -1) return explicit < topic.partitions.length ? explicit : -1
    return key === null ? this.#turn(topic) : partitionOfKey(topic.slotMap, key)
  }

  /** The turn passes on, if it is this partition's. */
  passOn(topic: TopicImage, partition: number): void {
    if (this.#turns.get(topic) === partition) this.#turns.set(topic, nextOf(topic, partition))
  }

  #turn(topic: TopicImage): number {
    const turn = this.#turns.get(topic)
    if (turn !== undefined && (topic.partitions[turn]?.leader ?? -1) !== -1) return turn
    const next = nextOf(topic, turn ?? -1)
    this.#turns.set(topic, next)
    return next
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

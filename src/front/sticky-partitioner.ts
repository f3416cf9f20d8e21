/**
 * Says which partition of a topic takes the records that name neither a key nor a partition: the one
 * whose turn it is, which passes on by batch, so that such records still share batches (KIP-480).
 */
import type { TopicImage } from '../metadata/metadata-image.ts'

export class StickyPartitioner {
  /** Whose turn it is. Forgotten with the image of the topic, which does no harm. */
  readonly #turns = new WeakMap<TopicImage, number>()

  partitionOf(topic: TopicImage): number {
    const turn = this.#turns.get(topic)
    if (turn !== undefined && (topic.partitions[turn]?.leader ?? -1) !== -1) return turn
    const next = nextOf(topic, turn ?? -1)
    this.#turns.set(topic, next)
    return next
  }

  /** The turn passes on, if it is this partition's. */
  passOn(topic: TopicImage, partition: number): void {
    if (this.#turns.get(topic) === partition) this.#turns.set(topic, nextOf(topic, partition))
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

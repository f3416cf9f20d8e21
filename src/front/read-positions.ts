/** Where a read stands in each of its partitions; made into a cursor, and moved by what was read. */
import type { LogPosition } from '../core/log-position.ts'
import { assert } from '../lib/assert.ts'
import type { TopicImage } from '../metadata/metadata-image.ts'
import type { CursorPosition, CursorTopic } from '../wire/cursor.ts'
import { encodeCursor } from '../wire/cursor.ts'
import type { FetchPosition } from '../wire/internal.ts'

export class ReadPositions {
  readonly topic: TopicImage
  /** Ascending. */
  readonly partitions: readonly number[]
  readonly #offsets: number[]
  /** Leader epoch of the last record read in each, -1 if none was. */
  readonly #epochs: number[]

  constructor(
    topic: TopicImage,
    partitions: readonly number[],
    offsets: readonly number[],
    epochs: readonly number[],
  ) {
    assert(offsets.length === partitions.length, 'a partition of the read has no position')
    this.topic = topic
    this.partitions = partitions
    this.#offsets = [...offsets]
    this.#epochs = [...epochs]
  }

  static of(topic: TopicImage, positions: readonly CursorPosition[]): ReadPositions {
    return new ReadPositions(
      topic,
      positions.map((position) => position.partition),
      positions.map((position) => position.offset),
      positions.map((position) => position.lastEpoch),
    )
  }

  copy(): ReadPositions {
    return new ReadPositions(this.topic, this.partitions, this.#offsets, this.#epochs)
  }

  offsetOf(partition: number): number {
    return this.#offsets[this.#indexOf(partition)] as number
  }

  epochOf(partition: number): number {
    return this.#epochs[this.#indexOf(partition)] as number
  }

  /** The offsets alone, as text. */
  offsetsText(): string {
    return this.#offsets.join('-')
  }

  /** Names these places and nothing else, as the cursor does, but cheaper. */
  text(): string {
    const { id, slotMap } = this.topic
    let text = `${id} ${slotMap.version}`
    for (let i = 0; i < this.partitions.length; i++) {
      text += ` ${this.partitions[i]}-${this.#offsets[i]}-${this.#epochs[i]}`
    }
    return text
  }

  /**
   * Moves one partition behind a record of that epoch, -1 if unknown. The epoch never falls: where an
   * election by force has brought an older history back, no place in it may seem to be before this one.
   */
  set(partition: number, offset: number, lastEpoch: number): void {
    const index = this.#indexOf(partition)
    this.#offsets[index] = offset
    this.#epochs[index] = Math.max(this.#epochs[index] as number, lastEpoch)
  }

  /** Starts a partition anew, as a reader that has read nothing of it; `leaderEpoch` is that of who named the place. */
  restart(partition: number, { offset, leaderEpoch }: LogPosition): void {
    const index = this.#indexOf(partition)
    this.#offsets[index] = offset
    this.#epochs[index] = leaderEpoch
  }

  /** The same places, whatever the epochs. */
  isAt(other: ReadPositions): boolean {
    return this.#offsets.every((offset, i) => offset === other.#offsets[i])
  }

  /** The partitions in which this is before `other`, which covers the same ones. */
  behind(other: ReadPositions): number[] {
    return this.partitions.filter(
      (_, i) => (this.#offsets[i] as number) < (other.#offsets[i] as number),
    )
  }

  placeOf(partition: number): LogPosition {
    return { offset: this.offsetOf(partition), leaderEpoch: this.epochOf(partition) }
  }

  cursorPositions(): CursorPosition[] {
    return this.partitions.map((partition, i) => ({
      partition,
      offset: this.#offsets[i] as number,
      lastEpoch: this.#epochs[i] as number,
    }))
  }

  cursorTopic(): CursorTopic {
    const { id, slotMap } = this.topic
    return { topicId: id, mapVersion: slotMap.version, positions: this.cursorPositions() }
  }

  cursor(): string {
    return encodeCursor({ topics: [this.cursorTopic()] })
  }

  /** The cursor that differs in one partition, where it reads anew. */
  cursorAt(partition: number, place: LogPosition): string {
    const copy = this.copy()
    copy.restart(partition, place)
    return copy.cursor()
  }

  /** For storage, beginning with the partition at `turn`, so that each comes first at times. */
  fetchPositions(turn: number): FetchPosition[] {
    const { length } = this.partitions
    const positions: FetchPosition[] = []
    for (let step = 0; step < length; step++) {
      const index = (turn + step) % length
      positions.push({
        topicId: this.topic.id,
        partition: this.partitions[index] as number,
        offset: this.#offsets[index] as number,
        lastEpoch: this.#epochs[index] as number,
      })
    }
    return positions
  }

  #indexOf(partition: number): number {
    const { partitions } = this
    // A read of a whole topic has its partitions at their numbers.
    if (partitions[partition] === partition) return partition
    const index = partitions.indexOf(partition)
    assert(index !== -1, `partition ${partition} is not in the read`)
    return index
  }
}

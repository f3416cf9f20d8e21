/** Tells operators what a controller sees and does: who died, how many were elected, what is offline and why. */
import type { Logger } from '../env/logger.ts'
import type { MetadataImage, NodeImage } from '../metadata/metadata-image.ts'
import type { OfflinePartition } from './election-survey.ts'

const OFFLINE_NAMED = 10

export class ElectionStory {
  readonly #logger: Logger
  #nodes: ReadonlyMap<number, NodeImage> | undefined
  #sinceMs: number | undefined
  #elected = 0
  #leaderless = 0
  #failedRounds = 0
  #offlineTold = 0

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** Tells of nodes that came and went since the last image. */
  saw(image: MetadataImage): void {
    const before = this.#nodes
    if (before === image.nodes) return
    this.#nodes = image.nodes
    for (const { id, incarnation } of before?.values() ?? []) {
      if (image.nodes.get(id)?.incarnation === incarnation) continue
      const leads = partitionsLedBy(image, id)
      this.#logger.warn({ node: id, incarnation, leads }, 'a node is gone; others take over')
    }
    for (const { id, incarnation } of image.nodes.values()) {
      if (before === undefined || before.get(id)?.incarnation === incarnation) continue
      this.#logger.info({ node: id, incarnation }, 'a node is up')
    }
  }

  begin(nowMs: number): void {
    this.#sinceMs ??= nowMs
  }

  wrote(elected: number, leaderless: number): void {
    this.#elected += elected
    this.#leaderless += leaderless
  }

  /** Something was not written. Told at once, but not each time, lest a store that is away fills the log. */
  failed(refused: number, error: unknown): void {
    this.#failedRounds++
    if (error !== undefined && this.#failedRounds === 1) {
      this.#logger.warn({ refused, error }, 'elections could not be written and are tried again')
    }
  }

  /** All that could be done is done. */
  end(nowMs: number, offline: ReadonlyMap<unknown, OfflinePartition>): void {
    if (this.#sinceMs !== undefined) {
      const fields = {
        elected: this.#elected,
        leaderless: this.#leaderless,
        failedRounds: this.#failedRounds,
        offline: offline.size,
        tookMs: Math.round(nowMs - this.#sinceMs),
      }
      this.#logger.info(fields, 'elections are done')
    }
    this.#sinceMs = undefined
    this.#elected = this.#leaderless = this.#failedRounds = 0
    this.#tellOffline(offline)
  }

  #tellOffline(offline: ReadonlyMap<unknown, OfflinePartition>): void {
    if (offline.size === this.#offlineTold) return
    this.#offlineTold = offline.size
    if (offline.size === 0) {
      this.#logger.info({ offline: 0 }, 'every partition has a leader')
      return
    }
    const all = [...offline.values()]
    const partitions = all.slice(0, OFFLINE_NAMED).map(({ topic, partition, waitsFor }) => ({
      topic,
      partition,
      why:
        waitsFor.length === 0
          ? 'no replica is known to hold all that was committed; an operator may choose one'
          : `no replica that holds all that was committed is up: ${waitsFor.join(', ')}`,
    }))
    this.#logger.warn({ offline: offline.size, partitions }, 'partitions have no leader')
  }
}

function partitionsLedBy(image: MetadataImage, node: number): number {
  let leads = 0
  for (const { partitions } of image.topics.values()) {
    for (const { leader } of partitions) if (leader === node) leads++
  }
  return leads
}

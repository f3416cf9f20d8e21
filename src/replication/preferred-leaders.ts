/**
 * Which leaderships go back to the first replicas after a node was away: not at once, few at a time,
 * and only to nodes that lead clearly fewer partitions than they should.
 */
import { electPreferred } from '../core/election.ts'
import type { MetadataImage } from '../metadata/metadata-image.ts'
import type { PartitionChange } from '../metadata/partition-writes.ts'
import type { PartitionPlace } from '../wire/internal.ts'
import { changeOf, nodesToAvoid } from './election-survey.ts'

export interface PreferredLeaderOptions {
  /** How long a node must have been up, with space on its disk, before it is given leadership back. */
  readonly settleMs: number
  /** Share of a node's partitions that others lead, above which they are moved back. */
  readonly imbalance: number
  /** Partitions that one round moves, at most. */
  readonly movesPerRound: number
}

export class PreferredLeaders {
  readonly #options: PreferredLeaderOptions
  readonly #upSince = new Map<number, { readonly incarnation: number; readonly sinceMs: number }>()
  /** Nodes that are being given back what they should lead; they get all of it. */
  readonly #balancing = new Set<number>()

  constructor(options: PreferredLeaderOptions) {
    this.#options = options
  }

  /** Notes which nodes are up. `nowMs` is on the monotonic clock. */
  observe({ nodes }: MetadataImage, nowMs: number): void {
    for (const id of this.#upSince.keys()) {
      if (!nodes.has(id)) this.#upSince.delete(id)
    }
    for (const { id, incarnation, diskFull } of nodes.values()) {
      // One that was full is given time again, lest leaderships go to and fro.
      if (this.#upSince.get(id)?.incarnation === incarnation && !diskFull) continue
      this.#upSince.set(id, { incarnation, sinceMs: nowMs })
    }
  }

  /** The moves of one round, of partitions that `leader` leads. */
  plan(image: MetadataImage, leader: number, nowMs: number): PartitionChange[] {
    const due = [...image.nodes.keys()].filter((id) => this.#isSettled(id, nowMs))
    if (due.length === 0) return []
    this.#weigh(image, new Set(due))
    if (this.#balancing.size === 0) return []
    const moves: PartitionChange[] = []
    for (const { id: topicId, partitions } of image.topics.values()) {
      for (const [partition, { replicas }] of partitions.entries()) {
        if (!this.#balancing.has(replicas[0] ?? -1)) continue
        const move = preferredMove(image, leader, { topicId, partition })
        if (move === undefined) continue
        moves.push(move)
        if (moves.length === this.#options.movesPerRound) return moves
      }
    }
    // Nothing is left that could be moved now: from here on a new imbalance has to build up.
    if (moves.length === 0) this.#balancing.clear()
    return moves
  }

  #isSettled(id: number, nowMs: number): boolean {
    const up = this.#upSince.get(id)
    return up !== undefined && nowMs - up.sinceMs >= this.#options.settleMs
  }

  #weigh(image: MetadataImage, due: ReadonlySet<number>): void {
    const counts = new Map<number, { preferred: number; elsewhere: number }>()
    for (const { partitions } of image.topics.values()) {
      for (const { replicas, leader } of partitions) {
        const first = replicas[0]
        if (first === undefined) continue
        const count = counts.get(first) ?? { preferred: 0, elsewhere: 0 }
        count.preferred++
        if (leader !== first) count.elsewhere++
        counts.set(first, count)
      }
    }
    for (const id of this.#balancing) {
      if (!due.has(id)) this.#balancing.delete(id)
    }
    for (const [id, { preferred, elsewhere }] of counts) {
      if (due.has(id) && elsewhere > preferred * this.#options.imbalance) this.#balancing.add(id)
    }
  }
}

/** From `leader` to the first replica; undefined: the one does not lead, or the other cannot. */
export function preferredMove(
  image: MetadataImage,
  leader: number,
  { topicId, partition }: PartitionPlace,
): PartitionChange | undefined {
  const topic = image.topicsById.get(topicId)
  const state = topic?.partitions[partition]
  if (topic === undefined || state?.leader !== leader) return undefined
  const isLive = (node: number) => image.nodes.has(node)
  const minInsync = topic.config.minInsyncReplicas
  const next = electPreferred(state, { isLive, avoid: nodesToAvoid(image), minInsync })
  return next && changeOf({ topicId, partition }, state, next, image.nodes)
}

/**
 * Partitions that nobody leads, and what each of their replicas holds: what an operator has to know
 * before one of them is made the leader that may lack records.
 */
import type { MetadataImage, MetadataView, PartitionImage } from '../metadata/metadata-image.ts'
import type { PartitionPlace, ReplicaLog } from '../wire/internal.ts'

export interface OfflinePartitionsDeps {
  readonly metadata: MetadataView
  /** What a node holds of each place; undefined, or shorter, for what it does not, or if it does not say. */
  readonly replicaLogs: (
    node: number,
    places: readonly PartitionPlace[],
  ) => Promise<readonly (ReplicaLog | undefined)[]>
}

export interface OfflineReplica {
  readonly node: number
  readonly isUp: boolean
  /** Undefined if the node did not say. */
  readonly log: ReplicaLog | undefined
}

export interface OfflinePartition {
  readonly topic: string
  readonly partition: number
  readonly state: PartitionImage
  /** The one that holds most first. */
  readonly replicas: readonly OfflineReplica[]
}

interface Place extends PartitionPlace {
  readonly topic: string
  readonly state: PartitionImage
}

/** Of which the replicas are asked; more are only counted. */
const DESCRIBED_MAX = 100
const PLACES_PER_CALL = 5_000

export class OfflinePartitions {
  readonly #deps: OfflinePartitionsDeps

  constructor(deps: OfflinePartitionsDeps) {
    this.#deps = deps
  }

  async describe(): Promise<{
    readonly count: number
    readonly partitions: readonly OfflinePartition[]
  }> {
    const { image } = this.#deps.metadata
    const offline = await this.#offline(image)
    const described = offline.slice(0, DESCRIBED_MAX)
    const nodes = new Set(described.flatMap(({ state }) => state.replicas))
    const logs = new Map<number, ReadonlyMap<Place, ReplicaLog>>()
    await Promise.all(
      [...nodes].map(async (node) => {
        const places = described.filter(({ state }) => state.replicas.includes(node))
        logs.set(node, await this.#ask(node, places))
      }),
    )
    const partitions = described.map((place) => {
      const replicas = place.state.replicas.map((node) => {
        return { node, isUp: image.nodes.has(node), log: logs.get(node)?.get(place) }
      })
      const { topic, partition, state } = place
      return { topic, partition, state, replicas: replicas.toSorted(byMost) }
    })
    return { count: offline.length, partitions }
  }

  /** Without a leader, or with one that is not up or does not act as one. */
  async #offline({ topics, nodes }: MetadataImage): Promise<Place[]> {
    const offline: Place[] = []
    const led = new Map<number, Place[]>()
    for (const [topic, { id: topicId, partitions }] of topics) {
      for (const [partition, state] of partitions.entries()) {
        const place = { topic, topicId, partition, state }
        const places = led.get(state.leader)
        if (!nodes.has(state.leader)) offline.push(place)
        else if (places === undefined) led.set(state.leader, [place])
        else places.push(place)
      }
    }
    await Promise.all(
      [...led].map(async ([leader, places]) => {
        const logs = await this.#ask(leader, places)
        offline.push(...places.filter((place) => logs.get(place)?.leads !== true))
      }),
    )
    return offline
  }

  async #ask(node: number, places: readonly Place[]): Promise<ReadonlyMap<Place, ReplicaLog>> {
    const found = new Map<Place, ReplicaLog>()
    for (let at = 0; at < places.length; at += PLACES_PER_CALL) {
      const asked = places.slice(at, at + PLACES_PER_CALL)
      const keys = asked.map(({ topicId, partition }) => ({ topicId, partition }))
      const logs = await this.#deps.replicaLogs(node, keys)
      for (const [i, place] of asked.entries()) {
        const log = logs[i]
        if (log !== undefined) found.set(place, log)
      }
    }
    return found
  }
}

/** Records of a later leader win over more records; what is damaged, or not known, comes last. */
function byMost({ log: a }: OfflineReplica, { log: b }: OfflineReplica): number {
  if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined)
  if (a.damaged !== b.damaged) return Number(a.damaged) - Number(b.damaged)
  return b.lastEpoch - a.lastEpoch || b.logEndOffset - a.logEndOffset
}

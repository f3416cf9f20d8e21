/**
 * Elections that an operator asks for: of the preferred leader, which costs nothing, and of a replica
 * that may lack committed records, for when nobody who has them will come back.
 */
import { cleanCandidate, electPreferred, uncleanElect } from '../core/election.ts'
import type { TopicId } from '../core/ids.ts'
import type { PartitionState } from '../core/partition-state.ts'
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { AwaitableMetadataView, TopicImage } from '../metadata/metadata-image.ts'
import { nodeKey, partitionMetadataKey } from '../metadata/metadata-keys.ts'
import { decodeNode, decodePartition, encodePartition } from '../metadata/metadata-records.ts'
import type { Compare, MetadataStore } from '../metadata/metadata-store.ts'
import { visibleImage } from './visible-image.ts'

export interface PartitionElectionsDeps {
  readonly store: Pick<MetadataStore, 'get' | 'transact'>
  readonly view: AwaitableMetadataView
  readonly clock: Clock
  readonly logger: Logger
  /** Asks the leader to hand over to the preferred one; whether it did. Absent where there is only one node. */
  readonly handBack?: (topicId: TopicId, partition: number) => Promise<boolean>
}

export interface PartitionPlace {
  readonly topic: TopicImage
  readonly partition: number
  /** Of the request that asks, for the log. */
  readonly requestId: string
}

interface Found {
  readonly state: PartitionState
  readonly modRevision: number
  /** Incarnations of the replicas that are up. */
  readonly up: ReadonlyMap<number, number>
  /** Those of them that lead nothing new, and why. */
  readonly avoid: ReadonlyMap<number, string>
}

interface Decision {
  readonly next: PartitionState
  /** What must still be so for the decision to hold, beside the partition itself. */
  readonly compare: readonly Compare[]
}

/** Attempts of one call when others write the same partition, or an outcome is not known. */
const ATTEMPTS = 5

export class PartitionElections {
  readonly #deps: PartitionElectionsDeps

  constructor(deps: PartitionElectionsDeps) {
    this.#deps = deps
  }

  /**
   * Makes the first replica the leader, if it is not. The one that leads does so itself, so that no
   * producer is left in doubt and it never leads without knowing that it does not.
   * @throws ServiceError `election-refused` when the first replica is not up, about to stop or not in
   * sync, and when the leader is up and does not hand over
   */
  async electPreferred(place: PartitionPlace, signal: AbortSignal): Promise<PartitionState> {
    const { minInsyncReplicas: minInsync } = place.topic.config
    await this.#deps.handBack?.(place.topic.id, place.partition)
    return await this.#elect(place, signal, ({ state, up, avoid }) => {
      const [preferred = -1] = state.replicas
      if (state.leader === preferred) return undefined
      const rules = {
        isLive: (node: number) => up.has(node),
        minInsync,
        avoid: new Set(avoid.keys()),
      }
      const next = electPreferred(state, rules)
      if (next !== undefined) {
        const { leader } = state
        if (up.has(leader)) {
          throw refused(`node ${leader}, which leads it, did not hand over; ask again in a moment`)
        }
        const isLeaderDown = leader === -1 ? [] : [isStillDown(leader)]
        return { next, compare: [isStillUp(preferred, up), ...isLeaderDown] }
      }
      const why = avoid.get(preferred) ?? 'is not in sync'
      throw refused(
        `node ${preferred}, the preferred leader, ${up.has(preferred) ? why : 'is not up'}`,
      )
    })
  }

  /**
   * Makes the node the leader although it may lack committed records, which are then lost.
   * @throws ServiceError `election-refused` when somebody can lead without a loss, or the node is not
   * up; `invalid-request` when it is no replica
   */
  async electUnclean(
    place: PartitionPlace,
    node: number,
    signal: AbortSignal,
  ): Promise<PartitionState> {
    const { clock, logger } = this.#deps
    const { minInsyncReplicas: minInsync } = place.topic.config
    const atMs = clock.nowMs()
    let asked: PartitionState | undefined
    const elected = await this.#elect(place, signal, ({ state, up }) => {
      // An earlier attempt of this call, whose answer was lost.
      const isOurs = asked?.leaderEpoch === state.leaderEpoch && state.unclean?.atMs === atMs
      if (isOurs) return undefined
      checkReplica(state, node)
      const clean = cleanCandidate(state, { isLive: (replica) => up.has(replica), minInsync })
      if (clean !== undefined) {
        throw refused(
          `node ${clean} is up and holds all committed records: it leads the partition, or will in a moment`,
        )
      }
      if (!up.has(node)) throw refused(`node ${node} is not up`)
      asked = uncleanElect(state, node, atMs)
      const eligible = [...state.isr, ...state.elr]
      return { next: asked, compare: [isStillUp(node, up), ...eligible.map(isStillDown)] }
    })
    const { topic, partition, requestId } = place
    const { leaderEpoch } = elected
    logger.warn(
      { requestId, topic: topic.name, partition, node, leaderEpoch },
      'an operator made a replica the leader that may lack committed records',
    )
    return elected
  }

  /** The state that holds in the end; `decide` gives undefined when it is the one that was found. */
  async #elect(
    place: PartitionPlace,
    signal: AbortSignal,
    decide: (found: Found) => Decision | undefined,
  ): Promise<PartitionState> {
    const key = partitionMetadataKey(place.topic.id, place.partition)
    let cause: unknown
    for (let n = 0; n < ATTEMPTS; n++) {
      signal.throwIfAborted()
      try {
        const found = await this.#find(place, key)
        const decision = decide(found)
        if (decision === undefined) {
          await visibleImage(this.#deps, found.modRevision, signal)
          return found.state
        }
        const { succeeded, revision } = await this.#deps.store.transact({
          compare: [{ key, target: 'modRevision', equals: found.modRevision }, ...decision.compare],
          put: [{ key, value: encodePartition(decision.next) }],
        })
        cause = undefined
        if (!succeeded) continue
        await visibleImage(this.#deps, revision, signal)
        return decision.next
      } catch (error) {
        if (error instanceof ServiceError || signal.aborted) throw error
        cause = error
      }
    }
    const what = `partition ${place.partition} of ${place.topic.name}`
    if (cause === undefined) {
      throw new ServiceError('too-many-requests', `others keep changing ${what}`)
    }
    const detail = `the metadata store did not answer for ${what}`
    throw new ServiceError('outcome-unknown', detail, { cause })
  }

  /** The linearizable truth, of which the image may be short. */
  async #find({ topic, partition }: PartitionPlace, key: string): Promise<Found> {
    const { store } = this.#deps
    const entry = await store.get(key)
    if (entry === undefined) {
      const detail = `partition ${partition} of ${topic.name} is not in the metadata`
      throw new ServiceError('topic-not-found', detail)
    }
    const state = decodePartition(entry.value)
    const up = new Map<number, number>()
    const avoid = new Map<number, string>()
    for (const node of state.replicas) {
      const registered = await store.get(nodeKey(node))
      if (registered === undefined) continue
      up.set(node, registered.createRevision)
      const { draining, diskFull } = decodeNode(registered.value)
      if (diskFull === true) avoid.set(node, 'has a full disk')
      if (draining === true) avoid.set(node, 'is about to stop')
    }
    return { state, modRevision: entry.modRevision, up, avoid }
  }
}

function checkReplica({ replicas }: PartitionState, node: number): void {
  if (replicas.includes(node)) return
  const detail = `is no replica of the partition; those are ${replicas.join(', ')}`
  throw new ServiceError('invalid-request', `node ${node} ${detail}`, {
    errors: [{ pointer: '/node', detail }],
  })
}

function isStillUp(node: number, up: ReadonlyMap<number, number>): Compare {
  return { key: nodeKey(node), target: 'createRevision', equals: up.get(node) ?? 0 }
}

function isStillDown(node: number): Compare {
  return { key: nodeKey(node), target: 'createRevision', equals: 0 }
}

function refused(detail: string): ServiceError {
  return new ServiceError('election-refused', detail)
}

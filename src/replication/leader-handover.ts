/** Hands the leaderships of a node that is about to stop to others, so that nobody waits for its lease to end. */
import { electOther } from '../core/election.ts'
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import type { AwaitableMetadataView, MetadataImage } from '../metadata/metadata-image.ts'
import { nodeKey } from '../metadata/metadata-keys.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import type { PartitionChange, PartitionWriteOutcome } from '../metadata/partition-writes.ts'
import { writePartitions } from '../metadata/partition-writes.ts'
import type { SilenceLimit } from '../metadata/silence-limit.ts'
import { waitForChange } from '../metadata/wait-for-change.ts'
import { changeOf, nodesToAvoid } from './election-survey.ts'

export interface LeaderHandoverDeps {
  readonly store: MetadataStore
  readonly metadata: AwaitableMetadataView
  readonly clock: Clock
  readonly logger: Logger
}

/** The leader that gives up, as it is registered. */
export interface LeavingLeader {
  readonly nodeId: number
  readonly incarnation: number
}

export interface Handover {
  readonly moved: number
  /** Partitions that the node still leads: no other replica could lead them without a loss. */
  readonly kept: number
}

const RETRY_MS = 100

/** Moves what can be moved; stops at the signal's abort, or when the store is silent, with what it has. */
export async function handOverLeaders(
  deps: LeaderHandoverDeps,
  node: LeavingLeader,
  silence: SilenceLimit,
  signal: AbortSignal,
): Promise<Handover> {
  const { store, metadata, logger } = deps
  const { nodeId } = node
  const stop = AbortSignal.any([signal, silence.passed])
  let moved = 0
  for (let conflicts = 0; !stop.aborted; ) {
    const { image } = metadata
    const changes = planHandover(image, nodeId)
    if (changes.length === 0) break
    try {
      const outcome = await writeHandover(store, node, changes, conflicts, stop)
      if (outcome.error === undefined) silence.heard()
      moved += outcome.written.length
      await metadata.waitForVersion(outcome.revision, stop)
      if (outcome.refused.length === 0) continue
      if (outcome.error === undefined) conflicts++
      await waitForChange(deps, image.version, RETRY_MS, stop)
    } catch (error) {
      if (!stop.aborted) throw error
    }
  }
  const kept = leaderships(metadata.image, nodeId)
  logger.info({ moved, kept }, 'leaderships were handed over')
  return { moved, kept }
}

/** By the right of the leader itself; see `writePartitions`. */
export function writeHandover(
  store: MetadataStore,
  { nodeId, incarnation }: LeavingLeader,
  changes: readonly PartitionChange[],
  conflicts: number,
  signal: AbortSignal,
): Promise<PartitionWriteOutcome> {
  const authority = [
    { key: nodeKey(nodeId), target: 'createRevision', equals: incarnation },
  ] as const
  return writePartitions(store, changes, { authority, conflicts }, signal)
}

/** Of all that the node leads, what another one can lead as it is. */
export function planHandover(image: MetadataImage, nodeId: number): PartitionChange[] {
  const changes: PartitionChange[] = []
  const avoid = nodesToAvoid(image)
  const isLive = (node: number) => image.nodes.has(node)
  for (const { id: topicId, partitions, config } of image.topics.values()) {
    const rules = { isLive, avoid, minInsync: config.minInsyncReplicas }
    for (const [partition, state] of partitions.entries()) {
      if (state.leader !== nodeId) continue
      const next = electOther(state, rules)
      if (next === undefined) continue
      changes.push(changeOf({ topicId, partition }, state, next, image.nodes))
    }
  }
  return changes
}

/** How many partitions the node leads. */
export function leaderships(image: MetadataImage, nodeId: number): number {
  let led = 0
  for (const { partitions } of image.topics.values()) {
    for (const { leader } of partitions) if (leader === nodeId) led++
  }
  return led
}

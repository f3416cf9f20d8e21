/**
 * How a node comes into the cluster: nobody of its id is left over from before, the id is its own, it
 * votes for no record that it may have lost, and only then is it registered. Between the second
 * and the last nobody can give it a vote back: whoever does compares the key that does not exist yet.
 */
import type { LocalReplica } from '../core/election.ts'
import { rejoin } from '../core/election.ts'
import type { TopicId } from '../core/ids.ts'
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import { unlessAborted } from '../lib/unless-aborted.ts'
import {
  CONTROLLER_KEY,
  nodeKey,
  nodeRegistryKey,
  PARTITIONS_PREFIX,
  parseMetadataKey,
} from '../metadata/metadata-keys.ts'
import {
  decodeController,
  decodeNode,
  decodeNodeRegistry,
  decodePartition,
  encodeRecord,
} from '../metadata/metadata-records.ts'
import type { Entry, Lease, MetadataStore } from '../metadata/metadata-store.ts'
import { StoreRefusedError } from '../metadata/metadata-store.ts'
import type { PartitionChange } from '../metadata/partition-writes.ts'
import { writePartitions } from '../metadata/partition-writes.ts'

export interface NodeAdmissionDeps {
  readonly store: MetadataStore
  readonly clock: Clock
  readonly logger: Logger
  /**
   * What this node holds of a partition, from its logs as they were recovered. `createdRevision` is
   * of the partition's key: one that was created after all that the node ever acted on has lost nothing.
   */
  readonly localReplica: (
    topicId: TopicId,
    partition: number,
    createdRevision: number,
  ) => LocalReplica
}

export interface NodeAdmissionOptions {
  readonly nodeId: number
  /** Where other nodes reach it. */
  readonly url: string
  readonly rack: string
  readonly version: string
  /** Of the data directory: made with it, and never again the same. */
  readonly directoryId: string
  /** Gives the node id to this data directory although it belonged to another, whose data are gone. */
  readonly acceptNewDirectory?: boolean
  /** Time to live of the registration. */
  readonly ttlMs: number
}

const CONFLICT_PAUSE_MS = 100
/** A registration of a process that has ended is gone after this many times to live at the latest. */
const WAIT_OUT_TTLS = 3
const WAIT_OUT_POLLS_PER_TTL = 10

/**
 * Makes sure that the node id belongs to this data directory; resolves with the revision to compare.
 * @throws StoreRefusedError when it belongs to another
 */
export async function claimNodeId(
  { store, clock, logger }: Pick<NodeAdmissionDeps, 'store' | 'clock' | 'logger'>,
  { nodeId, directoryId, rack, acceptNewDirectory = false }: NodeAdmissionOptions,
): Promise<number> {
  const key = nodeRegistryKey(nodeId)
  for (;;) {
    const entry = await store.get(key)
    if (entry !== undefined) {
      const owner = decodeNodeRegistry(entry.value).directoryId
      if (owner === directoryId) return entry.modRevision
      if (!acceptNewDirectory) {
        throw new StoreRefusedError(
          `node id ${nodeId} belongs to another data directory (${owner}, this one is ${directoryId}): start with the data directory of node ${nodeId}, choose another node id, or, if its data are lost for good, accept the new directory with --accept-empty-data`,
        )
      }
      logger.warn({ nodeId, directoryId, before: owner }, 'the node id gets another data directory')
    }
    const value = encodeRecord({ directoryId, rack, createdAtMs: clock.nowMs() })
    const equals = entry?.modRevision ?? 0
    // Whatever comes of it, the next look tells.
    await store.transact({
      compare: [{ key, target: 'modRevision', equals }],
      put: [{ key, value }],
    })
  }
}

/**
 * Ends, or waits for the end of, the registration of this data directory's previous process.
 * `lastIncarnation` is what that process had, if it is known: then nobody has to be waited for.
 * @throws StoreRefusedError when another process lives under this id
 */
export async function endPreviousRegistration(
  deps: Pick<NodeAdmissionDeps, 'store' | 'clock' | 'logger'>,
  options: NodeAdmissionOptions,
  lastIncarnation: number | undefined,
  signal: AbortSignal,
): Promise<void> {
  const { store, clock, logger } = deps
  const { nodeId, directoryId, acceptNewDirectory = false, ttlMs } = options
  const key = nodeKey(nodeId)
  const deadlineMs = clock.monotonicMs() + WAIT_OUT_TTLS * ttlMs
  let first: Entry | undefined
  for (;;) {
    const entry = await unlessAborted(store.get(key), signal)
    if (entry === undefined) return
    const owner = decodeNode(entry.value).directoryId
    const isForeign = owner !== undefined && owner !== directoryId && !acceptNewDirectory
    const isNew = first !== undefined && first.createRevision !== entry.createRevision
    if (isForeign || isNew || clock.monotonicMs() >= deadlineMs) throw inUse(nodeId, entry)
    if (entry.createRevision === lastIncarnation) {
      await unlessAborted(removeRegistration(store, key, entry.createRevision), signal)
      continue
    }
    if (first === undefined) {
      first = entry
      const fields = { nodeId, incarnation: entry.createRevision, atMostMs: WAIT_OUT_TTLS * ttlMs }
      logger.warn(fields, 'waiting for the previous registration of this node to expire')
    }
    await clock.sleep(ttlMs / WAIT_OUT_POLLS_PER_TTL, signal)
  }
}

/** Takes the node out of every vote that it does not deserve, and from every leadership. */
export async function rejoinPartitions(
  deps: NodeAdmissionDeps,
  nodeId: number,
  signal: AbortSignal,
): Promise<void> {
  const { store, clock, logger } = deps
  const authority = [{ key: nodeKey(nodeId), target: 'createRevision', equals: 0 }] as const
  for (let conflicts = 0; ; conflicts++) {
    const { entries } = await unlessAborted(store.list(PARTITIONS_PREFIX), signal)
    const changes = entries.flatMap((entry) => rejoinChange(deps, nodeId, entry) ?? [])
    if (changes.length === 0) return
    const options = { authority, conflicts }
    const { written, refused, error } = await writePartitions(store, changes, options, signal)
    logger.info(
      { nodeId, written: written.length, refused: refused.length },
      'this node gave up leaderships and votes from before its start',
    )
    if (refused.length === 0) continue
    if (error !== undefined) throw error
    // Another process of this id would be in the way for good.
    const other = await unlessAborted(store.get(nodeKey(nodeId)), signal)
    if (other !== undefined) throw inUse(nodeId, other)
    await clock.sleep(CONFLICT_PAUSE_MS, signal)
  }
}

/**
 * Registers the node; resolves with its incarnation, undefined if the id must be claimed again.
 * @throws StoreRefusedError when another process was faster; LeaseGoneError
 */
export async function register(
  { store }: Pick<NodeAdmissionDeps, 'store'>,
  { nodeId, url, rack, version, directoryId }: NodeAdmissionOptions,
  registryRevision: number,
  lease: Lease,
): Promise<number | undefined> {
  const key = nodeKey(nodeId)
  const value = encodeRecord({ url, rack, version, directoryId, leaseId: lease.id })
  const outcome = await store
    .transact({
      compare: [
        { key, target: 'createRevision', equals: 0 },
        { key: nodeRegistryKey(nodeId), target: 'modRevision', equals: registryRevision },
      ],
      put: [{ key, value, leaseId: lease.id }],
    })
    .catch((error: unknown) => ({ succeeded: false, revision: 0, error }))
  if (outcome.succeeded) return outcome.revision
  const entry = await store.get(key)
  // No other registration has this lease: the answer was lost, not the transaction.
  if (entry !== undefined && decodeNode(entry.value).leaseId === lease.id)
    return entry.createRevision
  if ('error' in outcome) throw outcome.error
  if (entry !== undefined) throw inUse(nodeId, entry)
  return undefined
}

function rejoinChange(
  { localReplica, logger }: NodeAdmissionDeps,
  nodeId: number,
  { key, value, createRevision, modRevision }: Entry,
): PartitionChange | undefined {
  const parsed = parseMetadataKey(key)
  if (parsed?.kind !== 'partition') return undefined
  const { topicId, partition } = parsed
  try {
    const state = decodePartition(value)
    if (!state.replicas.includes(nodeId)) return undefined
    const next = rejoin(state, nodeId, localReplica(topicId, partition, createRevision))
    return next && { topicId, partition, seenRevision: modRevision, next }
  } catch (error) {
    logger.error({ key, error }, 'a partition in the metadata is not readable and was left alone')
    return undefined
  }
}

async function removeRegistration(
  store: MetadataStore,
  key: string,
  incarnation: number,
): Promise<void> {
  const compare = [{ key, target: 'createRevision', equals: incarnation }] as const
  const controller = await store.get(CONTROLLER_KEY)
  const wasController =
    controller !== undefined && decodeController(controller.value).incarnation === incarnation
  // Its office ends with it, rather than with a lease that nobody renews.
  const remove = wasController ? [key, CONTROLLER_KEY] : [key]
  await store.transact({ compare, put: [], remove })
}

function inUse(nodeId: number, { value, createRevision }: Entry): StoreRefusedError {
  return new StoreRefusedError(
    `node id ${nodeId} is in use: a live process at ${decodeNode(value).url} has registered it (incarnation ${createRevision}); stop that process, or choose another node id`,
  )
}

/** First writes to a metadata store: what the cluster is called, and that a node is up. */
import type { Clock } from '../env/clock.ts'
import type { Random } from '../env/random.ts'
import { CLUSTER_KEY, nodeKey } from './metadata-keys.ts'
import type { ClusterRecord, NodeRecord } from './metadata-records.ts'
import { decodeCluster, encodeRecord } from './metadata-records.ts'
import type { MetadataStore } from './metadata-store.ts'

const CLUSTER_ID_BYTES = 16

/** What the cluster is; named at random by whoever comes first. */
export async function ensureCluster(deps: {
  readonly store: MetadataStore
  readonly clock: Clock
  readonly random: Random
}): Promise<ClusterRecord> {
  const { store, clock, random } = deps
  const clusterId = Buffer.from(random.bytes(CLUSTER_ID_BYTES)).toString('hex')
  const value = encodeRecord({ clusterId, createdAtMs: clock.nowMs() })
  await store.transact({
    compare: [{ key: CLUSTER_KEY, target: 'createRevision', equals: 0 }],
    put: [{ key: CLUSTER_KEY, value }],
  })
  const entry = await store.get(CLUSTER_KEY)
  if (entry === undefined) throw new Error('the metadata store lost the cluster record')
  return decodeCluster(entry.value)
}

/**
 * Tells that the node of a single-process cluster is up, and gives its incarnation. Needs no lease:
 * the store belongs to this process, so nobody is left to notice when it ends.
 */
export async function registerOnlyNode(
  store: MetadataStore,
  nodeId: number,
  record: NodeRecord,
): Promise<number> {
  const key = nodeKey(nodeId)
  // Removed first, so that every start has a create revision of its own.
  await store.transact({ compare: [], put: [], remove: [key] })
  const { revision } = await store.transact({
    compare: [{ key, target: 'createRevision', equals: 0 }],
    put: [{ key, value: encodeRecord(record) }],
  })
  return revision
}

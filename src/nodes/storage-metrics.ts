/** What operators see of a node's storage: the node as a whole, and every partition. */
import type { Metrics, Sample } from '../env/metrics.ts'
import type { MetadataView } from '../metadata/metadata-image.ts'
import type { LeaderTenure } from '../replication/leader-tenure.ts'
import type { Replica } from '../replication/replica.ts'
import type { ReplicaManager } from '../replication/replica-manager.ts'

const NODE_GAUGES = [
  ['curlew_unwritten_bytes', 'Accepted bytes that are in no log file yet.', 'unwrittenBytes'],
  ['curlew_memory_tail_bytes', 'Memory that the newest batches take.', 'memoryBytes'],
  ['curlew_journal_bytes', 'Journal that a recovery would have to read.', 'journalBytes'],
  ['curlew_open_log_files', 'Log files that are open.', 'openFiles'],
] as const

const PARTITION_GAUGES: readonly [string, string, (replica: Replica) => number][] = [
  ['curlew_log_start_offset', 'Lowest offset that can be read.', ({ log }) => log.startOffset],
  ['curlew_log_end_offset', 'Offset of the next record.', ({ log }) => log.endOffset],
  ['curlew_high_watermark', 'Readers see what is below.', ({ log }) => log.highWatermark],
  ['curlew_log_bytes', 'Size of the log.', ({ log }) => log.sizeBytes],
  ['curlew_readers_waiting', 'Reads that wait here.', (replica) => replica.readersWaiting],
  ['curlew_partition_damaged', '1 if damaged.', ({ log }) => (log.damage === undefined ? 0 : 1)],
  ['curlew_partition_leader', '1 where this node leads.', ({ tenure }) => (tenure ? 1 : 0)],
  ['curlew_leader_epoch', 'Leader epoch of the role here.', ({ leaderEpoch }) => leaderEpoch],
]

/** Of partitions that this node leads. */
const LEADER_GAUGES: readonly [
  string,
  string,
  (replica: Replica, tenure: LeaderTenure) => number,
][] = [
  [
    'curlew_in_sync_replicas',
    'Replicas in sync, the leader among them.',
    (_replica, { inSync }) => inSync.assignment.isr.length,
  ],
  [
    'curlew_uncommitted_records',
    'Records that the slowest replica in sync does not have for good.',
    ({ log }) => log.endOffset - log.highWatermark,
  ],
]

const COMPACTION_GAUGES = [
  ['curlew_compaction_read_bytes', 'Bytes that compaction has read since the start.', 'readBytes'],
  [
    'curlew_compaction_removed_bytes',
    'Bytes by which compaction has made logs smaller since the start.',
    'removedBytes',
  ],
  ['curlew_compaction_passes', 'Logs that were compacted since the start, each time.', 'passes'],
] as const

/** Of partitions that are compacted. */
function measureCompaction(metrics: Metrics, storage: ReplicaManager): void {
  const { compactor } = storage.storage
  for (const [name, help, member] of COMPACTION_GAUGES) {
    metrics.gauge(name, help, () => compactor[member])
  }
  metrics.gaugeOf(
    'curlew_compaction_dirty_ratio',
    'Share of the closed segments that is not compacted yet.',
    ['topic', 'partition'],
    () => samples(storage, ({ log }) => compactor.dirtyRatio(log)),
  )
  metrics.gaugeOf(
    'curlew_compaction_last_pass_seconds',
    'When the partition was compacted last, in seconds since 1970.',
    ['topic', 'partition'],
    () => samples(storage, ({ log }) => seconds(compactor.lastPassMs(log))),
  )
}

function seconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1000
}

export function measureStorage(
  metrics: Metrics,
  storage: ReplicaManager,
  metadata: MetadataView,
): void {
  for (const [name, help, member] of NODE_GAUGES) {
    metrics.gauge(name, help, () => storage.storage[member])
  }
  metrics.gauge('curlew_disk_full', '1 while records are refused for want of space.', () =>
    storage.storage.diskIsFull ? 1 : 0,
  )
  metrics.gauge('curlew_topics', 'Topics that exist.', () => metadata.image.topics.size)
  for (const [name, help, read] of PARTITION_GAUGES) {
    metrics.gaugeOf(name, help, ['topic', 'partition'], () => samples(storage, read))
  }
  for (const [name, help, read] of LEADER_GAUGES) {
    const readLed = (replica: Replica) => replica.tenure && read(replica, replica.tenure)
    metrics.gaugeOf(name, help, ['topic', 'partition'], () => samples(storage, readLed))
  }
  metrics.gaugeOf(
    'curlew_follower_lag_records',
    'How far a follower of a partition that is led here is behind.',
    ['topic', 'partition', 'node'],
    () => lags(storage),
  )
  measureCompaction(metrics, storage)
  metrics.gauge('curlew_under_replicated_partitions', 'Led here, with a replica out of sync.', () =>
    underReplicated(storage),
  )
}

function underReplicated(storage: ReplicaManager): number {
  let count = 0
  for (const { tenure } of storage.replicas) {
    if (tenure === undefined) continue
    const { isr, replicas } = tenure.inSync.assignment
    if (isr.length < replicas.length) count++
  }
  return count
}

function* lags(storage: ReplicaManager): Iterable<Sample> {
  for (const { log, tenure } of storage.replicas) {
    if (tenure === undefined) continue
    const { topicName, partition } = log.identity
    for (const { nodeId, fetchOffset } of tenure.inSync.followers) {
      const labels = { topic: topicName, partition: String(partition), node: String(nodeId) }
      yield { labels, value: Math.max(0, log.endOffset - fetchOffset) }
    }
  }
}

function* samples(
  storage: ReplicaManager,
  read: (replica: Replica) => number | undefined,
): Iterable<Sample> {
  for (const replica of storage.replicas) {
    const { topicName, partition } = replica.log.identity
    const value = read(replica)
    if (value === undefined) continue
    yield { labels: { topic: topicName, partition: String(partition) }, value }
  }
}

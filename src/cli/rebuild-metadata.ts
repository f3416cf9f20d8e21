/**
 * Makes the metadata of a stopped node anew: from the copy that the node keeps of them, and, where
 * that is missing or older, from the names, ids and partitions of the logs.
 */
import type { TopicId, TopicName } from '../core/ids.ts'
import { parseTopicName } from '../core/ids.ts'
import { newTopicConfig } from '../core/topic.ts'
import type { Clock } from '../env/clock.ts'
import type { FileSystem } from '../env/file-system.ts'
import type { NewTopic } from '../front/topic-writes.ts'
import { createTopic } from '../front/topic-writes.ts'
import { EmbeddedStore } from '../metadata/embedded-store.ts'
import { CLUSTER_KEY, parseMetadataKey } from '../metadata/metadata-keys.ts'
import { decodeTopic, encodeRecord } from '../metadata/metadata-records.ts'
import type { CopiedEntry } from '../nodes/metadata-copy.ts'
import { readMetadataCopy } from '../nodes/metadata-copy.ts'
import type { CheckpointedLog } from '../storage/checkpoint.ts'
import type { NodeIdentity } from '../storage/node-identity.ts'
import { quarantinePath } from '../storage/quarantine.ts'
import type { OfflineDeps } from './offline-deps.ts'

export interface RebuildDeps extends OfflineDeps {
  readonly clock: Clock
}

export interface RebuildSource {
  readonly dataDirectory: string
  readonly identity: NodeIdentity
  readonly logs: readonly CheckpointedLog[]
}

/** What the new database is to hold. */
export interface MetadataPlan {
  readonly entries: readonly CopiedEntry[]
  /** Known by their logs only: their settings are lost. */
  readonly topics: readonly NewTopic[]
  /** What is to be said of it, a line each. */
  readonly notes: readonly string[]
}

/** What belongs to SQLite: a journal that stays would be played into the new database. */
const DATABASE_FILES = ['metadata.db', 'metadata.db-journal', 'metadata.db-wal', 'metadata.db-shm']
const PUTS_AT_ONCE = 1000

/** Says what the metadata would be made of, and with `apply` makes them. */
export async function rebuildMetadata(
  deps: RebuildDeps,
  source: RebuildSource,
  apply: boolean,
): Promise<void> {
  const { fileSystem, clock, write } = deps
  const copy = await readMetadataCopy(fileSystem, source.dataDirectory)
  if (copy === undefined) write('metadata: there is no copy of them that can be read')
  const plan = planMetadata(copy ?? [], source.logs, source.identity, clock.nowMs())
  for (const note of plan.notes) write(`  ${note}`)
  if (!apply) return
  const path = `${source.dataDirectory}/metadata.db`
  await fileSystem.remove(`${path}.new`)
  await writeDatabase(deps, `${path}.new`, plan)
  await setAside(fileSystem, source.dataDirectory)
  await fileSystem.rename(`${path}.new`, path)
  await fileSystem.syncDirectory(source.dataDirectory)
  write(`metadata: made again; what there was is in ${quarantinePath(source.dataDirectory)}`)
}

export function planMetadata(
  copy: readonly CopiedEntry[],
  logs: readonly CheckpointedLog[],
  identity: NodeIdentity,
  nowMs: number,
): MetadataPlan {
  const present = logsByTopic(logs)
  const { clusterId } = identity
  const notes: string[] = []
  const entries: CopiedEntry[] = []
  const names = new Set<string>()
  const settled = new Set<TopicId>()
  for (const entry of copy) {
    const key = parseMetadataKey(entry.key)
    if (key?.kind === 'removed-topic') settled.add(key.topicId)
    if (key?.kind !== 'topic') continue
    const { topicId, partitions } = decodeTopic(entry.value)
    settled.add(topicId)
    if (present.has(topicId)) {
      names.add(key.name)
      entries.push(entry)
      notes.push(`topic ${key.name}: ${partitions} partitions, with its settings`)
    } else notes.push(`topic ${key.name}: left out, as it has no logs: it was deleted`)
  }
  const kept = new Set(entries.map(({ value }) => decodeTopic(value).topicId))
  for (const entry of copy) {
    const key = parseMetadataKey(entry.key)
    if (key?.kind === 'removed-topic') entries.push(entry)
    if (key?.kind === 'partition' && kept.has(key.topicId)) entries.push(entry)
  }
  entries.push({ key: CLUSTER_KEY, value: encodeRecord({ clusterId, createdAtMs: nowMs }) })
  const topics: NewTopic[] = []
  for (const [id, ofTopic] of present) {
    if (settled.has(id)) continue
    const topic = topicOfLogs(id, ofTopic, identity.nodeId, nowMs)
    if (topic === undefined || names.has(topic.name)) {
      notes.push(`topic ${ofTopic[0]?.topicName} (${id}): left out, as another has its name`)
      continue
    }
    names.add(topic.name)
    topics.push(topic)
    notes.push(
      `topic ${topic.name}: ${topic.replicas.length} partitions, as its logs say; its settings are lost, the defaults take their place`,
    )
  }
  return { entries, topics, notes }
}

function logsByTopic(logs: readonly CheckpointedLog[]): Map<TopicId, CheckpointedLog[]> {
  const topics = new Map<TopicId, CheckpointedLog[]>()
  for (const log of logs) {
    if (log.deleted === true) continue
    const ofTopic = topics.get(log.topicId)
    if (ofTopic === undefined) topics.set(log.topicId, [log])
    else ofTopic.push(log)
  }
  return topics
}

function topicOfLogs(
  id: TopicId,
  logs: readonly CheckpointedLog[],
  nodeId: number,
  createdAtMs: number,
): NewTopic | undefined {
  const [{ topicName, flush } = { topicName: '', flush: 'commit' as const }] = logs
  const name: TopicName | undefined = parseTopicName(topicName)
  if (name === undefined) return undefined
  const partitions = Math.max(...logs.map(({ partition }) => partition)) + 1
  // Kept for ever: nobody knows how long they were to be.
  const config = newTopicConfig({ flush, retentionMs: -1 }, 1)
  return { name, id, config, replicas: Array(partitions).fill([nodeId]), createdAtMs }
}

async function writeDatabase(
  { clock }: RebuildDeps,
  path: string,
  { entries, topics }: MetadataPlan,
): Promise<void> {
  const onFatal = (error: unknown) => {
    throw error
  }
  const store = EmbeddedStore.open({ clock, onFatal }, { path, createIfMissing: true })
  try {
    for (let at = 0; at < entries.length; at += PUTS_AT_ONCE) {
      await store.transact({ compare: [], put: [...entries.slice(at, at + PUTS_AT_ONCE)] })
    }
    for (const topic of topics) await createTopic(store, topic)
  } finally {
    await store.close()
  }
}

async function setAside(fileSystem: FileSystem, dataDirectory: string): Promise<void> {
  const quarantine = quarantinePath(dataDirectory)
  await fileSystem.makeDirectory(quarantine)
  const taken = new Set(await fileSystem.list(quarantine))
  for (const name of DATABASE_FILES) {
    const path = `${dataDirectory}/${name}`
    if ((await fileSystem.size(path)) === undefined) continue
    let number = 0
    while (taken.has(`${name}-${number}`)) number++
    await fileSystem.rename(path, `${quarantine}/${name}-${number}`)
  }
  await fileSystem.syncDirectory(quarantine)
}

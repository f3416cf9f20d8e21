/**
 * Makes a checkpoint anew from the logs' folders, when both copies of it are damaged or it is gone.
 * The journal cannot be read without one: its files are moved aside, and what only they held is lost.
 */
import type { TopicId } from '../core/ids.ts'
import type { FileSystem } from '../env/file-system.ts'
import type { Checkpoint, CheckpointedLog } from '../storage/checkpoint.ts'
import { LeaderEpochs } from '../storage/leader-epochs.ts'
import type { NodeIdentity } from '../storage/node-identity.ts'
import { quarantinePath } from '../storage/quarantine.ts'
import type { SegmentState } from '../storage/segment.ts'
import { parseSegmentFileName } from '../storage/segment.ts'
import { auditFile } from './log-damage.ts'

const FOLDER = /^(.+)-(\d+)\.([0-9a-f]{32})$/

export async function rebuildCheckpoint(
  fileSystem: FileSystem,
  dataDirectory: string,
  identity: NodeIdentity,
): Promise<Checkpoint> {
  const logs: CheckpointedLog[] = []
  for (const name of await fileSystem.list(`${dataDirectory}/logs`)) {
    const match = FOLDER.exec(name)
    if (match === null) continue
    const found = await rebuildLog(fileSystem, `${dataDirectory}/logs/${name}`)
    logs.push({
      logId: logs.length + 1,
      topicId: match[3] as TopicId,
      topicName: match[1] as string,
      partition: Number(match[2]),
      flush: 'commit',
      lossPossible: true,
      ...found,
    })
  }
  return { identity, journal: undefined, clean: true, nextLogId: logs.length + 1, logs }
}

/** Takes the journal's files out of the way; resolves to how many there were. */
export async function setJournalAside(
  fileSystem: FileSystem,
  dataDirectory: string,
): Promise<number> {
  const directory = `${dataDirectory}/journal`
  const slots = await fileSystem.list(directory)
  await fileSystem.makeDirectory(quarantinePath(dataDirectory))
  const taken = new Set(await fileSystem.list(quarantinePath(dataDirectory)))
  let number = 0
  for (const slot of slots) {
    while (taken.has(`journal-unread-${number}`)) number++
    taken.add(`journal-unread-${number}`)
    await fileSystem.rename(
      `${directory}/${slot}`,
      `${quarantinePath(dataDirectory)}/journal-unread-${number}`,
    )
  }
  await fileSystem.syncDirectory(quarantinePath(dataDirectory))
  if (slots.length > 0) await fileSystem.syncDirectory(directory)
  return slots.length
}

async function rebuildLog(
  fileSystem: FileSystem,
  directory: string,
): Promise<
  Pick<CheckpointedLog, 'startOffset' | 'endOffset' | 'highWatermark' | 'segments' | 'epochs'>
> {
  const files = await segmentLogs(fileSystem, directory)
  const segments: SegmentState[] = []
  const epochs = new LeaderEpochs()
  for (const [i, { path, baseOffset, version }] of files.entries()) {
    // Compaction has put another one in its place that spans its offsets.
    if (baseOffset < (segments.at(-1)?.endOffset ?? 0)) continue
    const end = (await fileSystem.size(path)) ?? 0
    const empty: SegmentState = {
      baseOffset,
      ...(version === 0 ? {} : { version }),
      sizeBytes: end,
      endOffset: baseOffset,
      maxTimestampMs: -1,
      offsetOfMaxTimestamp: baseOffset,
      createdAtMs: 0,
    }
    let audit = await auditFile(fileSystem, path, empty, { end, endOffset: undefined }, undefined)
    // Segments follow one another without a gap; only the last one's end is unknown.
    const next = files.slice(i + 1).find((file) => file.baseOffset >= audit.summary.endOffset)
    if (next !== undefined && next.baseOffset > audit.summary.endOffset) {
      const range = { end, endOffset: next.baseOffset }
      audit = await auditFile(fileSystem, path, empty, range, undefined)
    }
    for (const start of audit.epochs) {
      if (start.leaderEpoch > epochs.latest) epochs.begin(start.leaderEpoch, start.startOffset)
    }
    segments.push({ ...empty, ...audit.summary })
  }
  const startOffset = segments[0]?.baseOffset ?? 0
  const endOffset = segments.at(-1)?.endOffset ?? startOffset
  return { startOffset, endOffset, highWatermark: endOffset, segments, epochs: epochs.starts }
}

/** In the order of their offsets; of those with the same, only the one that replaced the others. */
async function segmentLogs(
  fileSystem: FileSystem,
  directory: string,
): Promise<{ path: string; baseOffset: number; version: number }[]> {
  const latest = new Map<number, { path: string; baseOffset: number; version: number }>()
  for (const name of await fileSystem.list(directory)) {
    const file = parseSegmentFileName(name)
    if (file?.extension !== 'log') continue
    const { baseOffset, version } = file
    if (version < (latest.get(baseOffset)?.version ?? 0)) continue
    latest.set(baseOffset, { path: `${directory}/${name}`, baseOffset, version })
  }
  return [...latest.values()].toSorted((a, b) => a.baseOffset - b.baseOffset)
}

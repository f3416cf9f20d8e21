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
  const files = (await fileSystem.list(directory)).map((name) => ({
    name,
    file: parseSegmentFileName(name),
  }))
  const logFiles = files.flatMap(({ name, file }) =>
    file?.extension === 'log'
      ? [{ path: `${directory}/${name}`, baseOffset: file.baseOffset }]
      : [],
  )
  const segments: SegmentState[] = []
  const epochs = new LeaderEpochs()
  for (const [i, { path, baseOffset }] of logFiles.entries()) {
    const end = (await fileSystem.size(path)) ?? 0
    const empty: SegmentState = {
      baseOffset,
      sizeBytes: end,
      endOffset: baseOffset,
      maxTimestampMs: -1,
      offsetOfMaxTimestamp: baseOffset,
      createdAtMs: 0,
    }
    // Segments follow one another without a gap; only the last one's end is unknown.
    const endOffset = logFiles[i + 1]?.baseOffset
    const audit = await auditFile(fileSystem, path, empty, { end, endOffset }, undefined)
    for (const start of audit.epochs) {
      if (start.leaderEpoch > epochs.latest) epochs.begin(start.leaderEpoch, start.startOffset)
    }
    segments.push({ ...empty, ...audit.summary })
  }
  const startOffset = segments[0]?.baseOffset ?? 0
  const endOffset = segments.at(-1)?.endOffset ?? startOffset
  return { startOffset, endOffset, highWatermark: endOffset, segments, epochs: epochs.starts }
}

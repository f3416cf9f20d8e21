/**
 * The checkpoint file: how far each log is safe in its segments, and from where on the journal has
 * the rest. Its body is stored twice, so that a flipped bit costs nothing, and it is replaced whole.
 *
 *   copy, copy; each half of the file:
 *   0 "CURLEWCP" | 8 format u32 | 12 bodyBytes u32 | 16 crc32c of the body u32
 *   20 crc32c of bytes 0-19 u32 | 24 body, JSON in UTF-8
 */
import type { TopicId } from '../core/ids.ts'
import type { FileSystem } from '../env/file-system.ts'
import { crc32c } from '../lib/crc32c.ts'
import type { FlushMode } from './journal-frames.ts'
import type { JournalPosition } from './journal-index.ts'
import type { EpochStart } from './leader-epochs.ts'
import type { NodeIdentity } from './node-identity.ts'
import type { CompactedState } from './partition-log.ts'
import type { SegmentState } from './segment.ts'
import { writeWhole } from './write-whole.ts'

const MAGIC = Buffer.from('CURLEWCP')
const FORMAT = 1
const HEADER_BYTES = 24

export interface CheckpointedLog {
  readonly logId: number
  readonly topicId: TopicId
  readonly topicName: string
  readonly partition: number
  readonly flush: FlushMode
  readonly startOffset: number
  /** Everything below it is synced in the segments. */
  readonly endOffset: number
  readonly highWatermark: number
  readonly segments: readonly SegmentState[]
  readonly epochs: readonly EpochStart[]
  /** Absent: not at all. */
  readonly compacted?: CompactedState
  /** Its topic is gone, its files are going. */
  readonly deleted?: true
  readonly damage?: string
  /** Records that readers have seen may be gone: their offsets are given anew under another epoch. */
  readonly lossPossible?: true
}

export interface Checkpoint {
  /** So that the identity file can be restored. */
  readonly identity: NodeIdentity
  /** Where replay begins. */
  readonly journal: JournalPosition | undefined
  /** Nothing was written after it: the node had stopped in good order. */
  readonly clean: boolean
  readonly nextLogId: number
  /** The journal was damaged, and nobody has said yet which logs should be here that are not. */
  readonly creationsLost?: true
  readonly logs: readonly CheckpointedLog[]
}

export type CheckpointRead =
  | { readonly state: 'missing' }
  /** `healed`: one of the copies was damaged. */
  | { readonly state: 'found'; readonly checkpoint: Checkpoint; readonly healed: boolean }
  | { readonly state: 'damaged'; readonly detail: string }

export function checkpointPath(dataDirectory: string): string {
  return `${dataDirectory}/checkpoint`
}

/**
 * The path of the journal file from which on the checkpoint needs the journal, if it is missing.
 * After a stop in good order nothing of it is needed.
 */
export async function missingJournal(
  fileSystem: FileSystem,
  dataDirectory: string,
  { clean, journal }: Checkpoint,
): Promise<string | undefined> {
  if (clean || journal === undefined) return undefined
  const path = `${dataDirectory}/journal/${journal.slot}`
  return (await fileSystem.size(path)) === undefined ? path : undefined
}

/** Where replay begins; after a stop in good order nothing need be there. */
export function replayStart({ clean, journal }: Checkpoint): JournalPosition | undefined {
  if (!clean || journal === undefined) return journal
  const { throughGroup, ...start } = journal
  return start
}

export async function readCheckpoint(
  fileSystem: FileSystem,
  dataDirectory: string,
): Promise<CheckpointRead> {
  const path = checkpointPath(dataDirectory)
  const size = await fileSystem.size(path)
  if (size === undefined) return { state: 'missing' }
  const bytes = Buffer.alloc(size)
  const file = await fileSystem.open(path, 'read')
  try {
    await file.readAt(bytes, 0)
  } finally {
    await file.close()
  }
  const half = Math.floor(size / 2)
  const first = decodeCopy(bytes.subarray(0, half))
  const second = decodeCopy(bytes.subarray(half))
  const whole = typeof first === 'string' ? second : first
  if (typeof whole === 'string') {
    return { state: 'damaged', detail: `both copies in ${path} are damaged: ${first as string}` }
  }
  return {
    state: 'found',
    checkpoint: whole,
    healed: typeof first === 'string' || typeof second === 'string',
  }
}

export function writeCheckpoint(
  fileSystem: FileSystem,
  dataDirectory: string,
  checkpoint: Checkpoint,
): Promise<void> {
  const { logs, ...head } = checkpoint
  return writeCheckpointText(
    fileSystem,
    dataDirectory,
    head,
    logs.map((log) => JSON.stringify(log)),
  )
}

/**
 * Replaces the checkpoint; it is durable when this resolves. The old one stays whole until then.
 * Logs come as JSON text, as most of them do not change from one checkpoint to the next.
 */
export async function writeCheckpointText(
  fileSystem: FileSystem,
  dataDirectory: string,
  head: Omit<Checkpoint, 'logs'>,
  logs: Iterable<string>,
): Promise<void> {
  const path = checkpointPath(dataDirectory)
  const headText = JSON.stringify(head)
  const copy = encodeCopy(Buffer.from(`${headText.slice(0, -1)},"logs":[${[...logs].join(',')}]}`))
  const temporary = `${path}.new`
  const file = await fileSystem.open(temporary, 'create')
  try {
    await file.truncate(0)
    await writeWhole(file, [copy, copy], 0)
    await file.syncData()
  } finally {
    await file.close()
  }
  await fileSystem.rename(temporary, path)
  await fileSystem.syncDirectory(dataDirectory)
}

function encodeCopy(body: Buffer): Uint8Array {
  const bytes = Buffer.alloc(HEADER_BYTES + body.length)
  MAGIC.copy(bytes)
  bytes.writeUInt32BE(FORMAT, 8)
  bytes.writeUInt32BE(body.length, 12)
  bytes.writeUInt32BE(crc32c(body), 16)
  bytes.writeUInt32BE(crc32c(bytes, 0, 20), 20)
  body.copy(bytes, HEADER_BYTES)
  return bytes
}

/** The checkpoint, or what is wrong with it. */
function decodeCopy(bytes: Buffer): Checkpoint | string {
  if (bytes.length < HEADER_BYTES) return `${bytes.length} bytes are too few`
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) return 'it begins with other bytes'
  if (bytes.readUInt32BE(20) !== crc32c(bytes, 0, 20)) return 'its header fails its checksum'
  const format = bytes.readUInt32BE(8)
  if (format !== FORMAT) return `it has format ${format}, this version reads ${FORMAT}`
  const bodyBytes = bytes.readUInt32BE(12)
  if (bodyBytes !== bytes.length - HEADER_BYTES) return 'it was cut'
  const body = bytes.subarray(HEADER_BYTES)
  if (bytes.readUInt32BE(16) !== crc32c(body)) return 'its body fails its checksum'
  return JSON.parse(body.toString()) as Checkpoint
}

/**
 * Prints a journal file. Files are reused, so groups of earlier times lie behind the newer ones; only
 * those that the checkpoint still needs count, and only damage in these is reported as such.
 */
import { dirname } from 'node:path'
import { readBatchHeader } from '../core/record-batch.ts'
import type { FileHandle } from '../env/file-system.ts'
import { readCheckpoint } from '../storage/checkpoint.ts'
import {
  decodeCreation,
  decodeEpochStart,
  decodeFlush,
  decodeOffset,
  FRAME,
} from '../storage/journal-frames.ts'
import type { GroupHeader, JournalFrame } from '../storage/journal-group.ts'
import {
  BLOCK_BYTES,
  framesOf,
  GROUP_HEADER_BYTES,
  groupBytes,
  isIntactGroup,
  readGroupHeader,
} from '../storage/journal-group.ts'
import type { JournalPosition } from '../storage/journal-index.ts'
import type { OfflineDeps } from './offline-deps.ts'

const GROUP_KINDS = ['frames', 'seal', 'closing seal', 'link']
const EPOCH_AT = 8

interface FoundGroup {
  readonly epoch: bigint
  readonly header: GroupHeader
  /** Undefined if the group is not intact. */
  readonly bytes: Uint8Array | undefined
}

export async function dumpJournal(deps: OfflineDeps, path: string): Promise<number> {
  const read = await readCheckpoint(deps.fileSystem, dirname(dirname(path)))
  const start = read.state === 'found' ? read.checkpoint.journal : undefined
  const file = await deps.fileSystem.open(path, 'read')
  try {
    return await dumpGroups(deps, file, start)
  } finally {
    await file.close()
  }
}

async function dumpGroups(
  { write }: OfflineDeps,
  file: FileHandle,
  start: JournalPosition | undefined,
): Promise<number> {
  const end = await file.sizeBytes()
  const epoch = start === undefined ? undefined : BigInt(`0x${start.epoch}`)
  const first = start?.groupSequence ?? 0
  /** Groups that are needed but not intact, as long as none that is follows. */
  let torn = 0
  let damages = 0
  for (let position = 0; position < end; ) {
    const found = await groupAt(file, position, end)
    const isCurrent =
      found !== undefined && found.epoch === epoch && found.header.groupSequence >= first
    if (found !== undefined) describe(write, position, found, isCurrent)
    if (isCurrent && found.bytes === undefined) torn++
    if (isCurrent && found.bytes !== undefined) {
      damages += torn
      torn = 0
    }
    position += found?.bytes === undefined ? BLOCK_BYTES : groupBytes(found.header.lengthBytes)
  }
  if (damages > 0) write(`DAMAGED: ${damages} groups before intact ones cannot be read`)
  return damages === 0 ? 0 : 1
}

async function groupAt(
  file: FileHandle,
  position: number,
  end: number,
): Promise<FoundGroup | undefined> {
  const head = new Uint8Array(GROUP_HEADER_BYTES)
  await file.readAt(head, position)
  const epoch = new DataView(head.buffer).getBigUint64(EPOCH_AT)
  const header = readGroupHeader(head, 0, epoch)
  if (header === undefined) return undefined
  const size = GROUP_HEADER_BYTES + header.lengthBytes
  if (position + size > end) return { epoch, header, bytes: undefined }
  const bytes = new Uint8Array(size)
  await file.readAt(bytes, position)
  return { epoch, header, bytes: isIntactGroup(bytes, header) ? bytes : undefined }
}

function describe(
  write: (line: string) => void,
  position: number,
  { epoch, header, bytes }: FoundGroup,
  isCurrent: boolean,
): void {
  const kind = GROUP_KINDS[header.kind] ?? `kind ${header.kind}`
  const age = isCurrent ? 'needed' : 'released'
  const state = bytes === undefined ? 'NOT INTACT' : 'valid'
  write(
    `position ${position}:  group ${header.groupSequence}  ${kind}  epoch ${epoch.toString(16).padStart(16, '0')} (${age})  bytes ${header.lengthBytes}  frames ${header.frames}  ${state}`,
  )
  if (bytes === undefined) return
  for (const frame of framesOf(bytes, header)) {
    write(`  frame ${frame.sequence}  log ${frame.logId}  ${describeFrame(frame)}`)
  }
}

function describeFrame({ kind, payload }: JournalFrame): string {
  switch (kind) {
    case FRAME.append: {
      const { baseOffset, lastOffsetDelta, leaderEpoch } = readBatchHeader(payload)
      return `append  offsets ${baseOffset}-${baseOffset + lastOffsetDelta}  epoch ${leaderEpoch}  bytes ${payload.length}`
    }
    case FRAME.truncate:
      return `truncate  end ${decodeOffset(payload)}`
    case FRAME.logStart:
      return `log start  offset ${decodeOffset(payload)}`
    case FRAME.roll:
      return `roll  base offset ${decodeOffset(payload)}`
    case FRAME.epochStart: {
      const start = decodeEpochStart(payload)
      return `epoch start  epoch ${start?.leaderEpoch}  offset ${start?.startOffset}`
    }
    case FRAME.create: {
      const creation = decodeCreation(payload)
      return `create  topic ${creation?.topicName} (${creation?.topicId})  partition ${creation?.partition}  flush ${creation?.flush}`
    }
    case FRAME.delete:
      return 'delete'
    case FRAME.flush:
      return `flush  ${decodeFlush(payload)}`
    default:
      return `kind ${kind}  bytes ${payload.length}`
  }
}

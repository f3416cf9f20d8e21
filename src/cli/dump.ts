/** `curlew dump <file>`: prints what a segment, an index, a checkpoint or a journal file holds, and whether it is valid. */
import { basename, dirname } from 'node:path'
import type { BatchHeader } from '../core/record-batch.ts'
import {
  BATCH_APPEND_TIME,
  BATCH_CODEC_MASK,
  BATCH_CONTROL,
  BATCH_DELETE_HORIZON,
} from '../core/record-batch.ts'
import type { FileSystem } from '../env/file-system.ts'
import { readCheckpoint } from '../storage/checkpoint.ts'
import { OFFSET_ENTRY_BYTES, OffsetIndex } from '../storage/offset-index.ts'
import { parseSegmentFileName } from '../storage/segment.ts'
import { auditSegment } from '../storage/segment-audit.ts'
import { TIME_ENTRY_BYTES, TimeIndex } from '../storage/time-index.ts'
import { dumpJournal } from './dump-journal.ts'
import type { OfflineDeps } from './offline-deps.ts'

const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

/** Resolves to the exit code: 0 if all is valid, 1 if not, 2 if the file is none that can be printed. */
export async function dump(deps: OfflineDeps, path: string): Promise<number> {
  const { fileSystem, write } = deps
  if ((await fileSystem.size(path)) === undefined) {
    write(`${path}: no such file`)
    return 2
  }
  const name = basename(path)
  const segment = parseSegmentFileName(name)
  if (segment?.extension === 'log') return dumpSegment(deps, path, segment.baseOffset)
  if (segment?.extension === 'index') return dumpOffsetIndex(deps, path, segment.baseOffset)
  if (segment?.extension === 'timeindex') return dumpTimeIndex(deps, path, segment.baseOffset)
  if (name === 'checkpoint') return dumpCheckpoint(deps, dirname(path))
  if (/^\d+$/.test(name) && basename(dirname(path)) === 'journal') return dumpJournal(deps, path)
  write(`${path}: neither a segment, an index, a checkpoint nor a journal file`)
  return 2
}

async function dumpSegment(
  { fileSystem, write }: OfflineDeps,
  path: string,
  baseOffset: number,
): Promise<number> {
  const file = await fileSystem.open(path, 'read')
  let damages = 0
  try {
    const end = await file.sizeBytes()
    await auditSegment(file, { end, baseOffset }, (finding) => {
      if (finding.kind === 'batch') write(describeBatch(finding.position, finding.header))
      else {
        damages++
        write(
          `position ${finding.position}: DAMAGED, ${finding.sizeBytes} bytes hold no valid batch`,
        )
      }
    })
  } finally {
    await file.close()
  }
  return damages === 0 ? 0 : 1
}

export function describeBatch(position: number, header: BatchHeader): string {
  const { baseOffset, lastOffsetDelta, attributes } = header
  const flags = [
    (attributes & BATCH_APPEND_TIME) === 0 ? 'create-time' : 'append-time',
    ...((attributes & BATCH_CONTROL) === 0 ? [] : ['control']),
    ...((attributes & BATCH_DELETE_HORIZON) === 0
      ? []
      : [`tombstones until ${time(header.baseTimestampMs)}`]),
    ...(header.producerId === -1 ? [] : [`producer ${header.producerId}/${header.producerEpoch}`]),
  ]
  return [
    `position ${position}:`,
    `offsets ${baseOffset}-${baseOffset + lastOffsetDelta}`,
    `records ${header.recordCount}`,
    `bytes ${header.sizeBytes}`,
    `epoch ${header.leaderEpoch}`,
    (attributes & BATCH_DELETE_HORIZON) === 0
      ? `time ${time(header.baseTimestampMs)} to ${time(header.maxTimestampMs)}`
      : `time to ${time(header.maxTimestampMs)}`,
    `codec ${CODECS[attributes & BATCH_CODEC_MASK] ?? 'unknown'}`,
    ...flags,
    'valid',
  ].join('  ')
}

async function dumpOffsetIndex(
  deps: OfflineDeps,
  path: string,
  baseOffset: number,
): Promise<number> {
  const bytes = await readFile(deps.fileSystem, path)
  const index = new OffsetIndex(bytes)
  for (let entry = 0; entry < index.entries; entry++) {
    deps.write(
      `offset ${baseOffset + index.relativeOffset(entry)}  position ${index.position(entry)}`,
    )
  }
  const segmentBytes = (await deps.fileSystem.size(path.replace(/\.index$/, '.log'))) ?? 0
  const isValid = bytes.length % OFFSET_ENTRY_BYTES === 0 && index.isPlausible(segmentBytes)
  return verdict(
    deps,
    isValid,
    'the entries do not ascend inside the segment; it will be made again',
  )
}

async function dumpTimeIndex(deps: OfflineDeps, path: string, baseOffset: number): Promise<number> {
  const bytes = await readFile(deps.fileSystem, path)
  const index = new TimeIndex(bytes)
  for (let entry = 0; entry < index.entries; entry++) {
    const offset = baseOffset + index.relativeOffset(entry)
    deps.write(`time ${time(index.timestampMs(entry))}  offset ${offset}`)
  }
  const isValid =
    bytes.length % TIME_ENTRY_BYTES === 0 && index.isPlausible(Number.POSITIVE_INFINITY)
  return verdict(deps, isValid, 'the entries do not ascend; it will be made again')
}

async function dumpCheckpoint(deps: OfflineDeps, dataDirectory: string): Promise<number> {
  const read = await readCheckpoint(deps.fileSystem, dataDirectory)
  if (read.state !== 'found') {
    return verdict(deps, false, read.state === 'damaged' ? read.detail : 'it is missing')
  }
  const { logs, ...head } = read.checkpoint
  deps.write(JSON.stringify(head))
  for (const log of logs) deps.write(JSON.stringify(log))
  return verdict(deps, !read.healed, 'one of the two copies is damaged; the next one heals it')
}

function verdict({ write }: OfflineDeps, isValid: boolean, otherwise: string): number {
  if (!isValid) write(`DAMAGED: ${otherwise}`)
  return isValid ? 0 : 1
}

async function readFile(fileSystem: FileSystem, path: string): Promise<Uint8Array> {
  const file = await fileSystem.open(path, 'read')
  try {
    const bytes = new Uint8Array(await file.sizeBytes())
    return bytes.subarray(0, await file.readAt(bytes, 0))
  } finally {
    await file.close()
  }
}

function time(ms: number): string {
  // What no calendar has is shown as it is stored.
  return ms >= 0 && ms <= 8.64e15 ? new Date(ms).toISOString() : String(ms)
}

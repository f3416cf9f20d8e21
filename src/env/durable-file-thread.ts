/**
 * The thread behind durable writes: takes one write after the other and does each in blocking calls.
 * Blocking is the point: write and sync cost one hop, and the thread pool stays free for reads.
 */
import { fdatasyncSync, writevSync } from 'node:fs'
import { workerData } from 'node:worker_threads'
import { dropBytes } from '../lib/drop-bytes.ts'
import { isUnsupported } from './direct-writes.ts'
import type { DurableWrite, ThreadSlot } from './write-slot.ts'
import { WriteSource } from './write-slot.ts'

/** Why a write failed. */
export interface DurableFailure {
  readonly code: string
  readonly errno: number
  readonly syscall: string
  readonly message: string
}

/** The system may write short at any time, so go on from where it stopped. */
function writeFully(fd: number, parts: readonly Uint8Array[], position: number): void {
  let left = dropBytes(parts, 0)
  let at = position
  while (left.length > 0) {
    const written = writevSync(fd, left, at)
    if (written === 0) throw Object.assign(new Error('EIO: nothing was written'), { code: 'EIO' })
    at += written
    left = dropBytes(left, written)
  }
}

function wroteDirectly({ directFd, parts, position }: DurableWrite): boolean {
  if (directFd === undefined) return false
  try {
    writeFully(directFd, parts, position)
    return true
  } catch (error) {
    if (isUnsupported(error)) return false
    throw error
  }
}

function perform(write: DurableWrite): DurableFailure | undefined {
  try {
    if (!wroteDirectly(write)) writeFully(write.fd, write.parts, write.position)
    if (write.syncAfter) fdatasyncSync(write.fd)
    return undefined
  } catch (error) {
    const { code, errno, syscall, message } = error as NodeJS.ErrnoException
    return { code: code ?? 'EIO', errno: errno ?? -5, syscall: syscall ?? 'write', message }
  }
}

const source = new WriteSource(workerData as ThreadSlot)
for (;;) source.finish(perform(source.take()))

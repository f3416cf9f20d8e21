/**
 * One durable write on its way to the thread that does it, in memory that both share: a wake hands it
 * over where a message would have to be made, queued and read by an event loop. What is too large for
 * that, and why a write failed, are messages, which are there before the wake that tells of them.
 */
import { constants } from 'node:os'
import type { MessagePort } from 'node:worker_threads'
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads'
import { sharedPageAligned } from '../lib/page-aligned.ts'
import type { DurableFailure } from './durable-file-thread.ts'

export interface DurableWrite {
  readonly fd: number
  /** Of the same file, past the page cache; it takes only parts that begin at a page. */
  readonly directFd: number | undefined
  readonly parts: readonly Uint8Array[]
  readonly position: number
  /** Whether a sync must follow because the descriptor was opened without O_DSYNC. */
  readonly syncAfter: boolean
}

/** The thread's end of a slot; the port must be transferred to it. */
export interface ThreadSlot {
  readonly state: SharedArrayBuffer
  /** Begins at a page. */
  readonly staging: Uint8Array<SharedArrayBuffer>
  readonly port: MessagePort
}

/** Copying more costs more than a message does. */
const STAGING_BYTES = 16 * 1024
const NO_FD = -1
/** A write that failed is never one that was done, whatever becomes of the reason. */
const NOT_TOLD: DurableFailure = {
  code: 'EIO',
  errno: -constants.errno.EIO,
  syscall: 'write',
  message: 'a durable write failed for a reason that did not arrive',
}

/** Places in the state. The first two count writes, and are what is waited on. */
const GIVEN = 0
const DONE = 1
const FAILED = 2
const FD = 3
const DIRECT_FD = 4
const SYNC_AFTER = 5
/** How much of the staging the write is. */
const STAGED_BYTES = 6
const IS_MESSAGE = -1
const NUMBERS = 8
const POSITION_AT = NUMBERS * Int32Array.BYTES_PER_ELEMENT
const STATE_BYTES = POSITION_AT + Float64Array.BYTES_PER_ELEMENT

/** The end of whoever has writes, one at a time. */
export class WriteSlot {
  readonly thread: ThreadSlot
  readonly #state: Int32Array<SharedArrayBuffer>
  readonly #position: Float64Array<SharedArrayBuffer>
  readonly #port: MessagePort

  constructor() {
    const state = new SharedArrayBuffer(STATE_BYTES)
    const { port1, port2 } = new MessageChannel()
    this.thread = { state, staging: sharedPageAligned(STAGING_BYTES), port: port2 }
    this.#state = new Int32Array(state, 0, NUMBERS)
    this.#position = new Float64Array(state, POSITION_AT, 1)
    this.#port = port1
  }

  /** Resolves when the thread is done with the write, to why it failed if it did. */
  async give(write: DurableWrite): Promise<DurableFailure | undefined> {
    const state = this.#state
    if (!this.#put(write)) this.#port.postMessage(write)
    const before = Atomics.load(state, DONE)
    Atomics.add(state, GIVEN, 1)
    Atomics.notify(state, GIVEN)
    // Only now, as the disk can work meanwhile; if it is done by then, there is nothing to wait for.
    await Atomics.waitAsync(state, DONE, before).value
    if (state[FAILED] === 0) return undefined
    const told: { message: DurableFailure } | undefined = receiveMessageOnPort(this.#port)
    return told?.message ?? NOT_TOLD
  }

  close(): void {
    this.#port.close()
  }

  /** False if there is no room for it. */
  #put({ fd, directFd, parts, position, syncAfter }: DurableWrite): boolean {
    const { staging } = this.thread
    let bytes = 0
    for (const part of parts) bytes += part.length
    const fits = bytes <= staging.length
    const state = this.#state
    state[STAGED_BYTES] = fits ? bytes : IS_MESSAGE
    if (!fits) return false
    state[FD] = fd
    state[DIRECT_FD] = directFd ?? NO_FD
    state[SYNC_AFTER] = syncAfter ? 1 : 0
    this.#position[0] = position
    let at = 0
    for (const part of parts) {
      // Not `set`: into shared memory that copies a word at a time.
      at += Buffer.from(part.buffer, part.byteOffset, part.length).copy(staging, at)
    }
    return true
  }
}

/** The end of the thread that does the writes. */
export class WriteSource {
  readonly #slot: ThreadSlot
  readonly #state: Int32Array<SharedArrayBuffer>
  readonly #position: Float64Array<SharedArrayBuffer>

  constructor(slot: ThreadSlot) {
    this.#slot = slot
    this.#state = new Int32Array(slot.state, 0, NUMBERS)
    this.#position = new Float64Array(slot.state, POSITION_AT, 1)
  }

  /** Sleeps until there is a write. */
  take(): DurableWrite {
    const { staging, port } = this.#slot
    const state = this.#state
    // Each write is done before the next one is given.
    Atomics.wait(state, GIVEN, Atomics.load(state, DONE))
    const bytes = state[STAGED_BYTES] as number
    if (bytes === IS_MESSAGE) return receiveMessageOnPort(port)?.message
    const directFd = state[DIRECT_FD] as number
    return {
      fd: state[FD] as number,
      directFd: directFd === NO_FD ? undefined : directFd,
      parts: [staging.subarray(0, bytes)],
      position: this.#position[0] as number,
      syncAfter: state[SYNC_AFTER] === 1,
    }
  }

  /** The write that was taken is done, or has failed. */
  finish(failure: DurableFailure | undefined): void {
    const state = this.#state
    if (failure !== undefined) this.#slot.port.postMessage(failure)
    state[FAILED] = failure === undefined ? 0 : 1
    Atomics.add(state, DONE, 1)
    Atomics.notify(state, DONE)
  }
}

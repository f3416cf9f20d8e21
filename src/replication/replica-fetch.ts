/**
 * Answers a fetch over many partitions: at once from memory where that has data, else from disk, else
 * when the first of the high watermarks moves.
 */
import type { Clock } from '../env/clock.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { LogRead } from '../storage/log-read.ts'
import type { LogReader } from '../storage/log-reader.ts'
import type {
  Fetched,
  FetchPosition,
  FetchRequest,
  FetchResult,
  Refusal,
} from '../wire/internal.ts'
import { refusalOf, refuse } from './append-call.ts'
import type { Replica } from './replica.ts'

export interface FetchDeps {
  readonly clock: Clock
  /** Aborts when the node stops answering. */
  readonly closing: AbortSignal
  readonly reader: LogReader
  /** Records of the replica could not be read: whether others answer for it from now on. */
  readonly isGivenUp: (replica: Replica, error: unknown) => boolean
  /** The partition, if this node may answer for it. */
  readonly find: (position: FetchPosition, fromFollower: boolean) => Replica | Refusal
}

/** What a pass over the positions has found. */
interface Pass {
  readonly results: FetchResult[]
  /** Positions that have data on disk only. */
  readonly cold: { readonly replica: Replica; readonly position: FetchPosition }[]
  readonly idle: { readonly replica: Replica; readonly position: FetchPosition }[]
  bytesLeft: number
}

export class ReplicaFetch {
  readonly #deps: FetchDeps
  #turn = 0

  constructor(deps: FetchDeps) {
    this.#deps = deps
  }

  async run(request: FetchRequest, signal: AbortSignal): Promise<FetchResult[]> {
    signal.throwIfAborted()
    const { clock, closing } = this.#deps
    const untilMs = clock.monotonicMs() + request.waitMs
    for (;;) {
      const pass = this.#pass(request)
      if (pass.cold.length > 0 && pass.results.length === 0) await this.#readCold(pass, signal)
      if (pass.results.length > 0 || request.waitMs === 0) return pass.results
      const leftMs = untilMs - clock.monotonicMs()
      if (leftMs <= 0) return []
      // Cold data that was gone when it was read means that bounds moved: look again.
      if (pass.cold.length > 0) continue
      // Joined only where something is waited for: that costs more than a read from memory.
      await this.#wait(pass, leftMs, AbortSignal.any([signal, closing]))
    }
  }

  /** All that can be answered without waiting. */
  #pass(request: FetchRequest): Pass {
    const { positions } = request
    const pass: Pass = { results: [], cold: [], idle: [], bytesLeft: request.maxBytes }
    // Each time another position comes first, as the first may use up all the bytes.
    const first = this.#turn++ % Math.max(1, positions.length)
    for (let i = 0; i < positions.length; i++) {
      const position = positions[(first + i) % positions.length] as FetchPosition
      if (pass.bytesLeft > 0 || pass.results.length === 0) {
        this.#look(pass, position, request.fromFollower ?? false)
      }
    }
    return pass
  }

  #look(pass: Pass, position: FetchPosition, fromFollower: boolean): void {
    const replica = this.#deps.find(position, fromFollower)
    if ('ok' in replica) {
      pass.results.push(faulty(position, replica))
      return
    }
    const fault = boundsFault(replica, position)
    if (fault !== undefined) {
      pass.results.push(faulty(position, fault))
      return
    }
    // Behind the watermark may be records that a leader before this one had committed.
    if (position.offset >= replica.log.highWatermark) {
      pass.idle.push({ replica, position })
      return
    }
    const read = this.#deps.reader.readMemory(replica.log, rangeOf(replica, position, pass))
    if (read === undefined) pass.cold.push({ replica, position })
    else take(pass, replica, position, read)
  }

  async #readCold(pass: Pass, signal: AbortSignal): Promise<void> {
    for (const { replica, position } of pass.cold) {
      if (pass.bytesLeft <= 0 && pass.results.length > 0) return
      try {
        const range = rangeOf(replica, position, pass)
        const read = await this.#deps.reader.read(replica.log, range, signal)
        const fault = boundsFault(replica, position)
        if (fault !== undefined) pass.results.push(faulty(position, fault))
        else take(pass, replica, position, read)
      } catch (error) {
        signal.throwIfAborted()
        const refusal = refusalOf(error)
        if (refusal === undefined) throw error
        const isElsewhere = this.#deps.isGivenUp(replica, error)
        pass.results.push(faulty(position, isElsewhere ? givenUp(refusal) : refusal))
      }
    }
  }

  /** Until one of the watermarks passes its position, or time is up. */
  async #wait({ idle }: Pass, waitMs: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const cancels: (() => void)[] = []
    const timer = this.#deps.clock.timer(waitMs, resolve)
    const abort = () => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    try {
      for (const { replica, position } of idle) {
        cancels.push(replica.subscribe(position.offset + 1, resolve))
      }
      await promise
    } finally {
      timer.cancel()
      signal.removeEventListener('abort', abort)
      for (const cancel of cancels) cancel()
    }
  }
}

function rangeOf(replica: Replica, position: FetchPosition, pass: Pass) {
  return {
    offset: position.offset,
    endOffset: replica.log.highWatermark,
    maxBytes: Math.max(0, pass.bytesLeft),
  }
}

function take(pass: Pass, replica: Replica, position: FetchPosition, read: LogRead): void {
  if (read.batches.length === 0) return
  pass.bytesLeft -= read.sizeBytes
  const { topicId, partition } = position
  const fetched: Fetched = {
    ok: true,
    topicId,
    partition,
    batches: read.batches,
    nextOffset: read.nextOffset,
    highWatermark: replica.log.highWatermark,
    logStartOffset: replica.log.startOffset,
    release: read.release,
  }
  pass.results.push(fetched)
}

function faulty(position: FetchPosition, refusal: Refusal): FetchResult {
  return { ...refusal, topicId: position.topicId, partition: position.partition }
}

/** Whether the position lies outside of the log, or on a history that was cut. */
function boundsFault(replica: Replica, position: FetchPosition): Refusal | undefined {
  const { log, following } = replica
  if (following === undefined) return leaderFault(replica, position)
  // A follower may be behind, also in what it knows of cuts: such readers wait, or ask the leader.
  const isAhead = position.offset >= log.highWatermark && log.damage === undefined
  if (isAhead || leaderFault(replica, position) === undefined) return undefined
  return refuse('partition-unavailable', 'only the leader can tell what became of the position')
}

function leaderFault(replica: Replica, position: FetchPosition): Refusal | undefined {
  const { log } = replica
  const { offset, lastEpoch } = position
  if (log.damage !== undefined) return refuse('partition-damaged', log.damage)
  if (offset < log.startOffset) {
    const earliest = log.startOffset
    return refuse('cursor-expired', `the log starts at ${earliest}`, { earliest })
  }
  const { highWatermark, endOffset, epochs } = log
  // A leader names places before it has written anything.
  const leaderEpoch = replica.following === undefined ? replica.leaderEpoch : -1
  const latest = Math.max(epochs.latest, leaderEpoch)
  // Nobody but a later leader can have written what was read: this one was replaced unawares.
  if (lastEpoch > latest && replica.isOneOfSeveral) {
    return refuse('partition-unavailable', `records of leader epoch ${lastEpoch} are elsewhere`)
  }
  const end = lastEpoch === -1 ? endOffset : epochs.endOffsetOf(lastEpoch, endOffset)
  if (offset <= end && lastEpoch <= latest) return undefined
  // Further back than where its history ends the reader has nothing to do, and there it cannot go on yet.
  if (lastEpoch !== -1 && end > highWatermark) {
    return refuse('partition-unavailable', `what is before ${end} is not committed again yet`)
  }
  const tail = Math.min(end, highWatermark)
  // No place behind the tail may seem to be before it: what comes next there may be of older epochs.
  const tailEpoch = tail < endOffset ? epochs.epochAt(tail) : leaderEpoch
  return refuse('offset-out-of-range', `the log ends at ${tail}`, { tail, leaderEpoch: tailEpoch })
}

function givenUp({ detail }: Refusal): Refusal {
  return refuse('partition-unavailable', `others take over: ${detail}`)
}

/** For callers that are not fetches: throws what a fetch would answer. */
export function throwRefusal(refusal: Refusal): never {
  const { code, detail, committed, members } = refusal
  throw new ServiceError(
    code,
    detail,
    members === undefined ? { committed } : { committed, members },
  )
}

/**
 * The leader's side of one follower: where it stands in each partition that it copies, and which of
 * them have something for it. Only what changes is told in either direction, so that a follower of
 * thousands of partitions costs what is written to a few.
 */
import type { PartitionKey } from '../core/ids.ts'
import { partitionKey } from '../core/ids.ts'
import type { Clock, Timer } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { LogReader } from '../storage/log-reader.ts'
import type {
  ReplicaFetchPart,
  ReplicaFetchPosition,
  ReplicaFetchRequest,
} from '../wire/replica-fetch.ts'
import { refusalOf } from './append-call.ts'
import type { DamagedLogs } from './damaged-logs.ts'
import type { LeaderTenure } from './leader-tenure.ts'
import type { Replica } from './replica.ts'

export interface FollowerSessionDeps {
  readonly clock: Clock
  readonly logger: Logger
  readonly reader: LogReader
  readonly damaged: DamagedLogs
  readonly find: (
    position: Pick<ReplicaFetchPosition, 'topicId' | 'partition'>,
  ) => Replica | undefined
}

interface Entry {
  position: ReplicaFetchPosition
  readonly replica: Replica | undefined
  readonly cancel: () => void
  /** The tenure that knows of the position. */
  reportedTo: LeaderTenure | undefined
  /** Records were sent, and the follower has not said since where it stands. */
  awaiting: boolean
  sentHighWatermark: number
  sentLogStart: number
}

/** Of one partition in one answer, so that each gets its share. */
const PARTITION_BYTES_MAX = 1024 * 1024
/** A watermark alone may wait for company. */
const WATERMARK_DELAY_MS = 10

export class FollowerSession {
  readonly id: number
  readonly #deps: FollowerSessionDeps
  readonly #followerId: number
  readonly #incarnation: number
  readonly #entries = new Map<PartitionKey, Entry>()
  /** In the order in which they are served. */
  readonly #ready = new Set<Entry>()
  #step = 0
  #wake: (() => void) | undefined
  /** Something came about while nobody was there to be woken. */
  #isMissed: boolean = false
  #soon: Timer | undefined
  readonly #closing = new AbortController()

  constructor(deps: FollowerSessionDeps, id: number, followerId: number, incarnation: number) {
    this.#deps = deps
    this.id = id
    this.#followerId = followerId
    this.#incarnation = incarnation
  }

  get step(): number {
    return this.#step
  }

  /** Whether the follower was started again since it was `incarnation`. */
  isOfLaterLife(incarnation: number): boolean {
    return incarnation < this.#incarnation
  }

  /** Whether the request is the next one of this session. */
  continues(request: ReplicaFetchRequest): boolean {
    return (
      request.sessionId === this.id &&
      request.incarnation === this.#incarnation &&
      request.sessionStep === this.#step + 1
    )
  }

  /** Takes over what the follower says of itself, and answers when there is something or time is up. */
  async fetch(request: ReplicaFetchRequest, signal: AbortSignal): Promise<ReplicaFetchPart[]> {
    this.#step = request.sessionStep
    this.#wake?.()
    for (const { topicId, partition } of request.forget)
      this.#forget(partitionKey(topicId, partition))
    for (const position of request.positions) this.#stand(position)
    this.#isMissed = false
    const { maxBytes, waitMs } = request
    const parts = await this.#collect(maxBytes, waitMs > 0 ? 'patient' : 'at once', signal)
    if (parts.length > 0 || waitMs === 0) return parts
    if (!this.#isMissed) await this.#change(waitMs, signal)
    return await this.#collect(maxBytes, 'at once', signal)
  }

  close(): void {
    this.#closing.abort(new ServiceError('draining', 'the session has ended'))
    this.#soon?.cancel()
    this.#wake?.()
    for (const entry of this.#entries.values()) entry.cancel()
    this.#entries.clear()
    this.#ready.clear()
  }

  #forget(key: PartitionKey): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    entry.cancel()
    this.#entries.delete(key)
    this.#ready.delete(entry)
  }

  #stand(position: ReplicaFetchPosition): void {
    const key = partitionKey(position.topicId, position.partition)
    let entry = this.#entries.get(key)
    if (entry === undefined || entry.replica !== this.#deps.find(position)) {
      this.#forget(key)
      entry = this.#enter(position)
      this.#entries.set(key, entry)
    }
    const before = entry.position
    if (position.leaderEpoch !== before.leaderEpoch || position.fetchOffset <= before.fetchOffset) {
      // What was sent last may not have been taken, and with it what it said of the bounds.
      entry.sentHighWatermark = -1
      entry.sentLogStart = -1
    }
    entry.position = position
    entry.awaiting = false
    entry.reportedTo = undefined
    this.#ready.add(entry)
  }

  #enter(position: ReplicaFetchPosition): Entry {
    const replica = this.#deps.find(position)
    const entry: Entry = {
      position,
      replica,
      cancel: replica?.observe(() => this.#look(entry)) ?? (() => undefined),
      reportedTo: undefined,
      awaiting: false,
      sentHighWatermark: -1,
      sentLogStart: -1,
    }
    return entry
  }

  /** Something of the partition has changed. */
  #look(entry: Entry): void {
    this.#ready.add(entry)
    const { replica, position, awaiting } = entry
    const hasData =
      !awaiting && replica?.tenure !== undefined && replica.log.placedEnd > position.fetchOffset
    if (hasData || entry.reportedTo !== replica?.tenure) this.#wakeUp()
    else this.#wakeUpSoon()
  }

  #wakeUpSoon(): void {
    this.#soon ??= this.#deps.clock.timer(WATERMARK_DELAY_MS, () => {
      this.#soon = undefined
      this.#wakeUp()
    })
  }

  #wakeUp(): void {
    if (this.#wake === undefined) this.#isMissed = true
    else this.#wake()
  }

  async #change(waitMs: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#wake = resolve
    const timer = this.#deps.clock.timer(waitMs, resolve)
    const abort = () => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    try {
      await promise
    } finally {
      if (this.#wake === resolve) this.#wake = undefined
      timer.cancel()
      signal.removeEventListener('abort', abort)
    }
  }

  /** All that there is; but `patient` leaves news of bounds for later if there are no records with them. */
  async #collect(
    maxBytes: number,
    haste: 'patient' | 'at once',
    signal: AbortSignal,
  ): Promise<ReplicaFetchPart[]> {
    const parts: ReplicaFetchPart[] = []
    const cold: Entry[] = []
    const news: Entry[] = []
    let bytesLeft = maxBytes
    for (const entry of [...this.#ready]) {
      if (bytesLeft <= 0) break
      this.#ready.delete(entry)
      if (entry.replica !== undefined && this.#report(entry) === undefined) continue
      const fault = faultOf(entry)
      if (fault !== undefined) {
        parts.push(fault)
        entry.awaiting = true
        // It comes back from elsewhere, and has to be told of the bounds there though nothing follows.
        entry.sentHighWatermark = -1
        entry.sentLogStart = -1
        continue
      }
      const part = this.#hot(entry, bytesLeft)
      if (part === 'cold') cold.push(entry)
      else if (part === 'news') news.push(entry)
      else if (part !== undefined) {
        parts.push(part)
        for (const batch of part.batches) bytesLeft -= batch.length
      }
    }
    for (const entry of cold) this.#ready.add(entry)
    // One of them in each answer: none waits for ever, and the others do not wait for the disk long.
    const [first] = cold
    const part = first === undefined ? undefined : await this.#cold(first, signal)
    if (part !== undefined) parts.push(part)
    if (parts.length === 0 && haste === 'patient') {
      for (const entry of news) this.#ready.add(entry)
      if (news.length > 0) this.#wakeUpSoon()
      return parts
    }
    return [...parts, ...news.flatMap((entry) => this.#bounds(entry) ?? [])]
  }

  /** Lets the tenure know where the follower stands; undefined if the two are not of the same epoch. */
  #report(entry: Entry): LeaderTenure | undefined {
    const { replica, position } = entry
    const tenure = replica?.tenure
    if (tenure === undefined || tenure.leaderEpoch !== position.leaderEpoch) return undefined
    if (!tenure.inSync.isReplica(this.#followerId)) return undefined
    if (entry.reportedTo === tenure) return tenure
    entry.reportedTo = tenure
    entry.awaiting = false
    if (faultOf(entry) !== undefined) return tenure
    const { fetchOffset, durableOffset, logStartOffset } = position
    const fetch = { incarnation: this.#incarnation, fetchOffset, durableOffset, logStartOffset }
    tenure.fetched(this.#followerId, fetch, this.#deps.clock.monotonicMs())
    return tenure
  }

  /** Records from memory; `news` if only bounds have changed, `cold` if the records are on disk only. */
  #hot(entry: Entry, bytesLeft: number): DataPart | 'news' | 'cold' | undefined {
    const { replica, position } = entry
    if (replica === undefined) return undefined
    const { log } = replica
    if (entry.awaiting || position.fetchOffset >= log.placedEnd) {
      const isNews =
        entry.sentHighWatermark !== log.highWatermark || entry.sentLogStart !== log.startOffset
      return isNews ? 'news' : undefined
    }
    const read = this.#deps.reader.readMemory(log, {
      offset: position.fetchOffset,
      endOffset: log.placedEnd,
      maxBytes: Math.min(bytesLeft, PARTITION_BYTES_MAX),
    })
    return read === undefined ? 'cold' : this.#data(entry, replica, read.batches)
  }

  #bounds(entry: Entry): DataPart | undefined {
    return entry.replica && this.#data(entry, entry.replica, [])
  }

  async #cold(entry: Entry, caller: AbortSignal): Promise<ReplicaFetchPart | undefined> {
    const { replica, position } = entry
    if (replica === undefined) return undefined
    const { tenure, log } = replica
    const signal = AbortSignal.any([caller, this.#closing.signal])
    const range = {
      offset: position.fetchOffset,
      endOffset: log.placedEnd,
      maxBytes: PARTITION_BYTES_MAX,
    }
    let batches: readonly Uint8Array[]
    try {
      ;({ batches } = await this.#deps.reader.read(log, range, signal))
    } catch (error) {
      signal.throwIfAborted()
      return refusalOf(error)?.code === 'overloaded' ? undefined : this.#damaged(entry, error)
    }
    if (batches.length === 0 || replica.tenure !== tenure || entry.position !== position) {
      return undefined
    }
    this.#ready.delete(entry)
    return this.#data(entry, replica, batches)
  }

  /** The other partitions are none the worse for it. */
  #damaged(entry: Entry, error: unknown): ReplicaFetchPart | undefined {
    const { position, replica } = entry
    if (replica === undefined || replica.tenure === undefined) return undefined
    if (this.#deps.damaged.found(replica, error)) return undefined
    const { topicId, partition } = position
    const { startOffset: logStartOffset, endOffset: logEndOffset } = replica.log
    const fields = { err: error, topic: replica.log.identity.topicName, partition }
    this.#deps.logger.error(fields, 'records that a follower needs cannot be read')
    this.#ready.delete(entry)
    entry.awaiting = true
    return { kind: 'refused', topicId, partition, code: 'damaged', logStartOffset, logEndOffset }
  }

  #data(entry: Entry, replica: Replica, batches: readonly Uint8Array[]): DataPart {
    const { topicId, partition, leaderEpoch } = entry.position
    const { highWatermark, startOffset } = replica.log
    entry.awaiting ||= batches.length > 0
    entry.sentHighWatermark = highWatermark
    entry.sentLogStart = startOffset
    return {
      kind: 'data',
      topicId,
      partition,
      leaderEpoch,
      highWatermark,
      logStartOffset: startOffset,
      purgedEnd: replica.log.compacted.purgedEnd,
      batches,
    }
  }
}

type DataPart = Extract<ReplicaFetchPart, { kind: 'data' }>

/**
 * What keeps the follower from going on where it stands: records that the leader does not have
 * (KIP-595's truncation on fetch), or a place below the leader's log.
 */
function faultOf({ position, replica }: Entry): ReplicaFetchPart | undefined {
  const { topicId, partition, leaderEpoch, fetchOffset, lastFetchedEpoch } = position
  const part = { topicId, partition, leaderEpoch }
  if (replica === undefined) {
    return { ...part, kind: 'refused', code: 'not-leader', logStartOffset: 0, logEndOffset: 0 }
  }
  const { log } = replica
  const bounds = { logStartOffset: log.startOffset, logEndOffset: log.endOffset }
  if (fetchOffset < log.startOffset) {
    return { ...part, kind: 'refused', code: 'offset-out-of-range', ...bounds }
  }
  // What lies below the leader's first record is nobody's concern, unless that cannot follow it.
  if (fetchOffset === log.startOffset) {
    const canFollow =
      fetchOffset === log.endOffset || lastFetchedEpoch <= log.epochs.epochAt(fetchOffset)
    return canFollow
      ? undefined
      : { ...part, kind: 'refused', code: 'offset-out-of-range', ...bounds }
  }
  const divergingEpoch = lastFetchedEpoch === -1 ? -1 : log.epochs.floor(lastFetchedEpoch)
  const endOffset =
    lastFetchedEpoch === -1
      ? log.endOffset
      : log.epochs.endOffsetOf(lastFetchedEpoch, log.endOffset)
  const isDiverging = divergingEpoch < lastFetchedEpoch || endOffset < fetchOffset
  if (!isDiverging) return undefined
  // All below the start was committed: there the two were the same.
  const sameEnd = Math.max(endOffset, log.startOffset)
  return { ...part, kind: 'diverging', divergingEpoch, endOffset: sameEnd }
}

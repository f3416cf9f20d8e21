/**
 * Runs a shard over its log: loads it, handles all that has arrived in one turn and appends what
 * comes of it in one batch, without what that itself has overtaken, and lets each answer leave when
 * what it stands on is committed. Where it cannot be certain otherwise that the state is not of the
 * past, a record that says nothing has to be committed first: only a leader can do that. After an
 * append that failed, or of which nobody knows, the state is dropped and loaded again.
 */

import type { RecordInput } from '../core/record.ts'
import { encodeBatch } from '../core/record-batch.ts'
import { RecordCursor } from '../core/record-cursor.ts'
import type { Clock, Timer } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { MetadataView } from '../metadata/metadata-image.ts'
import type { Appended, Refusal } from '../wire/internal.ts'
import type { CoordinatorLog } from './coordinator-log.ts'
import type { Handled, Moment, RecordCodec, Shard } from './shard.ts'

export interface CoordinatorRuntimeDeps<Command, Reply, Record> {
  readonly clock: Clock
  readonly logger: Logger
  readonly metadata: MetadataView
  readonly log: CoordinatorLog
  readonly codec: RecordCodec<Record>
  /** A shard without any state. */
  readonly makeShard: () => Shard<Command, Reply, Record>
}

export interface CoordinatorRuntimeOptions {
  /** Calls that may wait to be handled. */
  readonly maxWaiting: number
  /** Batches that may be on their way into the log. */
  readonly maxInFlight: number
  /** A batch that has grown to this is cut. */
  readonly batchBytes: number
}

interface Call<Command, Reply> {
  readonly command: Command
  readonly signal: AbortSignal
  readonly resolve: (reply: Reply) => void
  readonly reject: (error: unknown) => void
}

/** An answer that waits until what it stands on is committed. */
interface Answer<Command, Reply> {
  readonly call: Call<Command, Reply>
  readonly hasRecords: boolean
  readonly reply: Reply | Refusal
}

const DEFAULTS: CoordinatorRuntimeOptions = {
  maxWaiting: 20_000,
  maxInFlight: 4,
  batchBytes: 512 * 1024,
}
/** Loading is tried again after a pause that doubles between these. */
const RETRY_MIN_MS = 50
const RETRY_MAX_MS = 2_000
const RETRY_AFTER_MS = 200
/** Rounds of following in one turn; the rest has to wait for the next. */
const ROUNDS_MAX = 32

export class CoordinatorRuntime<Command, Reply, Record> {
  readonly #deps: CoordinatorRuntimeDeps<Command, Reply, Record>
  readonly #options: CoordinatorRuntimeOptions
  readonly #stop = new AbortController()
  #shard: Shard<Command, Reply, Record> | undefined
  #waiting: Call<Command, Reply>[] = []
  /** What waits for each batch that is on its way, oldest first. */
  readonly #inFlight: Answer<Command, Reply>[][] = []
  readonly #appends = new Set<Promise<void>>()
  #endOffset = 0
  /** Whether there is something to do, and whether its turn has been ordered. */
  #isWanted: boolean = false
  #isDue: boolean = false
  #timer: Timer | undefined
  /** When the timer fires; monotonic. */
  #timerMs = Number.POSITIVE_INFINITY
  #retryMs = RETRY_MIN_MS
  #running: Promise<void>

  constructor(
    deps: CoordinatorRuntimeDeps<Command, Reply, Record>,
    options: Partial<CoordinatorRuntimeOptions> = {},
  ) {
    this.#deps = deps
    this.#options = { ...DEFAULTS, ...options }
    this.#running = this.#load()
  }

  /** @throws ServiceError; with `coordinator-loading` nothing was done */
  submit(command: Command, signal: AbortSignal): Promise<Reply> {
    if (this.#stop.signal.aborted) return Promise.reject(this.#stop.signal.reason)
    if (this.#shard === undefined) return Promise.reject(loading())
    if (this.#waiting.length >= this.#options.maxWaiting) {
      const detail = 'too many calls wait for the coordinator'
      return Promise.reject(
        new ServiceError('overloaded', detail, { retryAfterMs: RETRY_AFTER_MS }),
      )
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ command, signal, resolve, reject })
      this.#schedule()
    })
  }

  /** The metadata have changed, or something else that the shard looks at. */
  wake(): void {
    if (this.#shard !== undefined) this.#schedule()
  }

  /** This node does not lead the partition any more: what waits ends with the reason. */
  async close(reason: ServiceError): Promise<void> {
    if (!this.#stop.signal.aborted) this.#stop.abort(reason)
    this.#drop(reason)
    await this.#running
  }

  #schedule(): void {
    this.#isWanted = true
    if (this.#isDue || this.#inFlight.length >= this.#options.maxInFlight) return
    this.#isDue = true
    this.#deps.clock.immediate(() => {
      this.#isDue = false
      this.#turn()
    })
  }

  #turn(): void {
    const shard = this.#shard
    const { log, codec, logger } = this.#deps
    this.#isWanted = false
    if (shard === undefined) return
    const moment = this.#moment()
    const calls = this.#waiting
    this.#waiting = []
    const taken: Call<Command, Reply>[] = []
    const handled: Handled<Record, Reply>[] = []
    const records = new Map<string, Record>()
    let inputs: RecordInput[]
    let answers: Answer<Command, Reply>[]
    try {
      for (const call of calls) {
        if (call.signal.aborted) {
          call.reject(call.signal.reason)
          continue
        }
        const decision = shard.handle(call.command, moment)
        taken.push(call)
        handled.push(decision)
        if ('records' in decision) this.#replay(shard, decision.records, records)
      }
      const isThrough = this.#follow(shard, moment, records)
      if (!isThrough) this.#isWanted = true
      inputs = Array.from(records.values(), (record) => codec.encode(record, moment.nowMs))
      if (inputs.length === 0 && calls.length > 0 && !log.isCertain) {
        inputs.push(codec.proof(moment.nowMs))
      }
      answers = taken.map((call, i) => answerOf(call, handled[i] as Handled<Record, Reply>))
    } catch (error) {
      logger.error({ err: error }, 'a coordinator failed; its state is loaded again')
      const failure = new ServiceError('internal-error', 'the coordinator failed', {
        committed: 'no',
        cause: error,
      })
      for (const { reject } of calls) reject(failure)
      this.#reload()
      return
    }
    this.#send(inputs, answers)
    this.#setTimer(shard)
    if (this.#isWanted) this.#schedule()
  }

  /** Whether nothing more follows. */
  #follow(
    shard: Shard<Command, Reply, Record>,
    moment: Moment,
    records: Map<string, Record>,
  ): boolean {
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const next = shard.follow(moment)
      if (next.length === 0) return true
      this.#replay(shard, next, records)
    }
    return false
  }

  /** Each takes the place of one with its key: compaction would leave no other either. */
  #replay(
    shard: Shard<Command, Reply, Record>,
    next: readonly Record[],
    records: Map<string, Record>,
  ): void {
    const { codec } = this.#deps
    for (const record of next) {
      shard.replay(record)
      const key = codec.keyOf(record)
      records.delete(key)
      records.set(key, record)
    }
  }

  #send(inputs: readonly RecordInput[], answers: Answer<Command, Reply>[]): void {
    if (inputs.length === 0) {
      const last = this.#inFlight.at(-1)
      if (last !== undefined) last.push(...answers)
      else for (const answer of answers) leave(answer)
      return
    }
    const batches = cut(inputs, this.#options.batchBytes)
    for (const [i, batch] of batches.entries()) {
      this.#append(batch, i === batches.length - 1 ? answers : [])
    }
  }

  #append(inputs: readonly RecordInput[], answers: Answer<Command, Reply>[]): void {
    const { log, logger } = this.#deps
    const offset = this.#endOffset
    this.#endOffset += inputs.length
    this.#inFlight.push(answers)
    const append = log.append(encodeBatch(inputs), offset).then(
      (result) => this.#appended(answers, result),
      (error: unknown) => {
        logger.error({ err: error }, 'an append of a coordinator failed in an unforeseen way')
        const detail = 'the append failed half-way'
        this.#appended(answers, {
          ok: false,
          code: 'outcome-unknown',
          detail,
          committed: 'unknown',
        })
      },
    )
    this.#appends.add(append)
    void append.then(() => this.#appends.delete(append))
  }

  #appended(answers: Answer<Command, Reply>[], result: Appended | Refusal): void {
    this.#inFlight.splice(this.#inFlight.indexOf(answers), 1)
    if (result.ok) {
      this.#retryMs = RETRY_MIN_MS
      if (this.#isWanted) this.#schedule()
      for (const answer of answers) leave(answer)
      return
    }
    const error = errorOf(result)
    for (const { call, hasRecords } of answers) call.reject(hasRecords ? error : loading())
    this.#reload()
  }

  #reload(): void {
    if (this.#shard === undefined) return
    this.#drop(loading())
    const pauseMs = this.#retryMs
    this.#retryMs = Math.min(RETRY_MAX_MS, 2 * pauseMs)
    this.#running = this.#load(pauseMs)
  }

  #drop(reason: ServiceError): void {
    this.#clearTimer()
    const calls = this.#waiting
    this.#waiting = []
    this.#shard?.close()
    this.#shard = undefined
    for (const { reject } of calls) reject(reason)
  }

  /** Until it has succeeded, or the runtime is closed. */
  async #load(pauseMs = 0): Promise<void> {
    const { clock, logger } = this.#deps
    const { signal } = this.#stop
    // What is on its way may get into the log yet.
    await Promise.all(this.#appends)
    if (pauseMs > 0) await clock.sleep(pauseMs, signal).catch(() => undefined)
    while (!signal.aborted) {
      try {
        const shard = await this.#loaded()
        if (signal.aborted) return
        this.#shard = shard
        this.#schedule()
        return
      } catch (error) {
        if (!(error instanceof ServiceError) && !signal.aborted) {
          logger.error({ err: error }, 'the state of a coordinator could not be loaded')
        }
      }
      await clock.sleep(this.#retryMs, signal).catch(() => undefined)
      this.#retryMs = Math.min(RETRY_MAX_MS, 2 * this.#retryMs)
    }
  }

  async #loaded(): Promise<Shard<Command, Reply, Record>> {
    const shard = this.#deps.makeShard()
    const cursor = new RecordCursor()
    const batches = this.#deps.log.load(this.#stop.signal)
    for (;;) {
      const { done, value } = await batches.next()
      if (done === true) {
        this.#endOffset = value
        return shard
      }
      this.#restore(shard, cursor, value)
    }
  }

  #restore(shard: Shard<Command, Reply, Record>, cursor: RecordCursor, batch: Uint8Array): void {
    cursor.reset(batch)
    while (cursor.next()) {
      const { keyStart, keyEnd, valueStart, valueEnd } = cursor
      if (keyStart === -1) continue
      const value = valueStart === -1 ? null : batch.subarray(valueStart, valueEnd)
      const record = this.#deps.codec.decode(batch.subarray(keyStart, keyEnd), value)
      if (record !== undefined) shard.replay(record)
    }
    if (cursor.fault !== undefined) throw new Error(`a batch of the coordinator is ${cursor.fault}`)
  }

  #setTimer({ nextDeadlineMs }: Shard<Command, Reply, Record>): void {
    // Mostly it is what it was.
    if (nextDeadlineMs === this.#timerMs) return
    this.#clearTimer()
    if (nextDeadlineMs === Number.POSITIVE_INFINITY) return
    const { clock } = this.#deps
    const delayMs = Math.max(0, nextDeadlineMs - clock.monotonicMs())
    this.#timerMs = nextDeadlineMs
    this.#timer = clock.timer(delayMs, () => {
      this.#clearTimer()
      this.#schedule()
    })
  }

  #clearTimer(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#timerMs = Number.POSITIVE_INFINITY
  }

  #moment(): Moment {
    const { clock, metadata } = this.#deps
    return { nowMs: clock.nowMs(), monotonicMs: clock.monotonicMs(), image: metadata.image }
  }
}

function answerOf<Command, Reply, Record>(
  call: Call<Command, Reply>,
  handled: Handled<Record, Reply>,
): Answer<Command, Reply> {
  if (!('records' in handled)) return { call, hasRecords: false, reply: handled }
  return { call, hasRecords: handled.records.length > 0, reply: handled.reply() }
}

function leave<Command, Reply>({ call, reply }: Answer<Command, Reply>): void {
  if (isRefusal(reply)) call.reject(errorOf(reply))
  else call.resolve(reply)
}

function isRefusal<Reply>(reply: Reply | Refusal): reply is Refusal {
  return typeof reply === 'object' && reply !== null && 'ok' in reply && reply.ok === false
}

/** Runs of records that each make a batch of about so many bytes. */
function cut(inputs: readonly RecordInput[], batchBytes: number): RecordInput[][] {
  const batches: RecordInput[][] = []
  let batch: RecordInput[] = []
  let bytes = 0
  for (const input of inputs) {
    batch.push(input)
    bytes += (input.key?.length ?? 0) + (input.value?.length ?? 0)
    if (bytes >= batchBytes) {
      batches.push(batch)
      batch = []
      bytes = 0
    }
  }
  if (batch.length > 0) batches.push(batch)
  return batches
}

/** Somebody else wrote, or the node leads no longer: nothing was done, and another one may do it. */
function errorOf({ code, detail, committed, members }: Refusal): ServiceError {
  if (code === 'precondition-failed') return notLeading()
  return new ServiceError(code, detail, { committed, ...(members !== undefined && { members }) })
}

function notLeading(): ServiceError {
  return new ServiceError(
    'partition-unavailable',
    'the node does not lead the coordinator any more',
  )
}

function loading(): ServiceError {
  return new ServiceError('coordinator-loading', 'the coordinator reads what was committed', {
    retryAfterMs: RETRY_AFTER_MS,
  })
}

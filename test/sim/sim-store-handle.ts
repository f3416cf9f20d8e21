/**
 * One node's way to the simulated metadata store, with what can go wrong on it: calls are slow, do
 * not arrive, or have their effect while the answer is lost; watches fall silent and break.
 */
import type { Clock } from '../../src/env/clock.ts'
import type { Random } from '../../src/env/random.ts'
import { ServiceError } from '../../src/lib/service-error.ts'
import type {
  Change,
  Lease,
  MetadataStore,
  Transaction,
} from '../../src/metadata/metadata-store.ts'
import type { SimStore } from './sim-store.ts'

export interface SimStoreHandleDeps {
  readonly store: SimStore
  /** The node's own: what comes back waits while the node is paused, and never comes to a dead one. */
  readonly clock: Clock
  /** Of the world outside of the node: what was sent arrives whatever becomes of the node. */
  readonly outside: Clock
  readonly random: Random
  readonly name: string
  readonly trace?: (what: string) => void
}

export interface SimStoreHandleOptions {
  /** Everything comes at once, as a microtask; for tests that do not drive the clock. */
  readonly instant?: boolean
  /** After this a call whose answer is missing fails, with its outcome unknown. */
  readonly timeoutMs?: number
  /** After this a watch that hears nothing, not even that nothing happened, breaks. */
  readonly silenceMs?: number
}

export interface StoreFaults {
  /** Nothing reaches the store, nothing comes back. */
  away: boolean
  /** Longest time of each way. */
  latencyMs: number
  /** Share of the calls that have their effect while the answer is lost. */
  answerLoss: number
  /** What is watched comes this much later. */
  watchDelayMs: number
}

/** What became of the call is not known. */
export class StoreUnreachableError extends Error {
  override readonly name = 'StoreUnreachableError'
}

const NO_ANSWER = 'the metadata store did not answer'

interface WayOfCall {
  readonly loses: () => boolean
  readonly delayMs: number
  /** What the caller gets when the answer is missing. */
  readonly failure: () => Error
}

/** What may be done twice: nothing is unknown when it is not answered. */
const REPEATABLE: WayOfCall = {
  loses: () => false,
  delayMs: 0,
  failure: () => new ServiceError('metadata-unavailable', NO_ANSWER),
}

const NO_FAULTS: StoreFaults = { away: false, latencyMs: 2, answerLoss: 0, watchDelayMs: 0 }

export class SimStoreHandle implements MetadataStore {
  readonly maxOperations: number
  readonly faults: StoreFaults = { ...NO_FAULTS }
  /** Asked before each transaction: whether its answer is to be lost. For scenarios. */
  loseAnswer: (transaction: Transaction) => boolean = () => false
  /** Asked before each transaction: how long it is under way, beyond what all are. For scenarios. */
  delay: (transaction: Transaction) => number = () => 0
  readonly #deps: SimStoreHandleDeps
  readonly #instant: boolean
  readonly #timeoutMs: number
  readonly #silenceMs: number
  readonly #ended = new AbortController()

  constructor(deps: SimStoreHandleDeps, options: SimStoreHandleOptions = {}) {
    this.#deps = deps
    this.maxOperations = deps.store.maxOperations
    this.#instant = options.instant ?? false
    this.#timeoutMs = options.timeoutMs ?? 3_000
    this.#silenceMs = options.silenceMs ?? 10_000
  }

  heal(): void {
    Object.assign(this.faults, NO_FAULTS)
  }

  get(key: string) {
    return this.#call(() => this.#deps.store.get(key))
  }

  list(prefix: string) {
    return this.#call(() => this.#deps.store.list(prefix))
  }

  transact(transaction: Transaction) {
    const { store, name, trace } = this.#deps
    const copy = structuredClone(transaction)
    const apply = () => {
      const outcome = store.transact(copy, name)
      trace?.(`txn ${describe(copy)} -> ${outcome.succeeded ? outcome.revision : 'refused'}`)
      return outcome
    }
    return this.#call(apply, {
      loses: () => this.loseAnswer(copy),
      delayMs: this.delay(copy),
      failure: () => new StoreUnreachableError(NO_ANSWER),
    })
  }

  async *watch(prefix: string, fromRevision: number, signal: AbortSignal): AsyncIterable<Change> {
    const { store } = this.#deps
    const stop = AbortSignal.any([signal, this.#ended.signal])
    for (let revision = fromRevision; !signal.aborted; revision++) {
      this.#checkOpen()
      const change = await this.#next(revision, stop, signal)
      if (change === undefined) return
      // What was compacted while it was under way is gone for this watcher, too.
      store.changeAt(revision)
      const events = change.events.filter(({ key }) => key.startsWith(prefix))
      if (events.length > 0) yield { revision, events }
    }
  }

  async lease(ttlMs: number): Promise<Lease> {
    const { store, name } = this.#deps
    const id = await this.#call(() => store.grant(ttlMs))
    return {
      id,
      keepAlive: async (signal) => {
        const alive = this.#call(() => store.keepAlive(id))
        return await Promise.race([alive, rejection(signal)])
      },
      revoke: () => this.#call(() => store.revoke(id, name)),
    }
  }

  async close(): Promise<void> {
    this.#ended.abort(new Error('the metadata store is closed'))
  }

  async #call<T>(apply: () => T, { loses, delayMs, failure }: WayOfCall = REPEATABLE): Promise<T> {
    this.#checkOpen()
    if (this.#instant) return apply()
    const { clock, outside } = this.#deps
    return await new Promise<T>((resolve, reject) => {
      const failed = () => reject(failure())
      const timeout = clock.timer(this.#timeoutMs, failed)
      this.#way(
        outside,
        () => {
          const answer = attempt(apply)
          if (loses() || this.#deps.random.float() < this.faults.answerLoss) return
          this.#way(clock, () => {
            timeout.cancel()
            answer(resolve, reject)
          })
        },
        delayMs,
      )
    })
  }

  /** One way of a message: it comes after a while, or never. */
  #way(clock: Clock, arrive: () => void, moreMs = 0): void {
    if (this.faults.away) return
    clock.timer(this.#deps.random.float() * this.faults.latencyMs + moreMs, () => {
      if (!this.faults.away) arrive()
    })
  }

  /** The change of a revision, when it comes; undefined when the watch is over. */
  async #next(
    revision: number,
    stop: AbortSignal,
    signal: AbortSignal,
  ): Promise<Change | undefined> {
    try {
      const change = await new Promise<Change>((resolve, reject) => {
        this.#await(revision, stop, resolve, reject)
      })
      return signal.aborted ? undefined : change
    } catch (error) {
      if (signal.aborted) return undefined
      throw error
    }
  }

  #await(
    revision: number,
    stop: AbortSignal,
    resolve: (change: Change) => void,
    reject: (error: unknown) => void,
  ): void {
    const { store, clock, random } = this.#deps
    let over = false
    let coming = false
    let silentMs = 0
    const end = (settle: () => void) => {
      if (over) return
      over = true
      unsubscribe()
      stop.removeEventListener('abort', abort)
      settle()
    }
    const abort = () => end(() => reject(stop.reason))
    const look = () => {
      if (over || this.faults.away) return
      try {
        const change = store.changeAt(revision)
        if (change !== undefined) end(() => resolve(change))
      } catch (error) {
        end(() => reject(error))
      }
    }
    const schedule = () => {
      if (coming || over) return
      if (this.#instant) return look()
      coming = true
      const { latencyMs, watchDelayMs } = this.faults
      clock.timer(random.float() * latencyMs + watchDelayMs, () => {
        coming = false
        look()
      })
    }
    const listen = () => {
      clock.timer(this.#silenceMs / 10, () => {
        if (over) return
        silentMs = this.faults.away ? silentMs + this.#silenceMs / 10 : 0
        if (silentMs >= this.#silenceMs) {
          end(() => reject(new StoreUnreachableError('the watch is silent')))
          return
        }
        if (!this.faults.away) schedule()
        listen()
      })
    }
    const unsubscribe = store.subscribe(schedule)
    stop.addEventListener('abort', abort, { once: true })
    if (stop.aborted) abort()
    else if (this.#instant) look()
    else {
      schedule()
      listen()
    }
  }

  #checkOpen(): void {
    if (this.#ended.signal.aborted) throw this.#ended.signal.reason
  }
}

/** Runs it now, and says later what came of it. */
function attempt<T>(apply: () => T) {
  try {
    const value = apply()
    return (resolve: (value: T) => void, _reject: (error: unknown) => void) => resolve(value)
  } catch (error) {
    return (_resolve: (value: T) => void, reject: (error: unknown) => void) => reject(error)
  }
}

function rejection(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}

function describe({ put, remove = [] }: Transaction): string {
  const puts = put.map(({ key, value }) => `${key}=${value}`)
  return [...puts, ...remove.map((key) => `-${key}`)].join(' ')
}

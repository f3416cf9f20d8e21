/**
 * The metadata as a front sees them: through any storage node, another one when that does not answer.
 * What was seen once is never taken back, whichever node is asked.
 */
import type { Clock } from '../env/clock.ts'
import type { CallTarget } from '../internal/identity.ts'
import { InternalCallError } from '../internal/internal-call-error.ts'
import type { InternalClient } from '../internal/internal-client.ts'
import { PATHS } from '../internal/paths.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { FeedAnswer } from '../wire/metadata-feed.ts'
import {
  decodeFeedAnswer,
  decodeFeedGot,
  decodeFeedOutcome,
  encodeFeed,
} from '../wire/metadata-feed.ts'
import type {
  Change,
  Entry,
  LeaselessStore,
  Transaction,
  TransactionOutcome,
} from './metadata-store.ts'
import { CompactedError } from './metadata-store.ts'

export interface RemoteMetadataDeps {
  readonly client: InternalClient
  readonly clock: Clock
  /** Those that are up, as the metadata say. */
  readonly nodes: () => readonly CallTarget[]
  /** Where nodes are found before the metadata are known, and when none that is known answers; never none. */
  readonly seeds: readonly string[]
}

const WAIT_MS = 3_000
/** Beyond the time that the node may wait: one that went silent must not be asked for long. */
const SLACK_MS = 2_000
const CALL_MS = 5_000
/** As many as etcd takes by default. */
const MAX_OPERATIONS = 128

export class RemoteMetadata implements LeaselessStore {
  readonly maxOperations: number = MAX_OPERATIONS
  readonly #deps: RemoteMetadataDeps
  readonly #stop = new AbortController()
  #turn = 0
  /** Calls in a row that no node answered. */
  #failures = 0
  #seen = 0

  constructor(deps: RemoteMetadataDeps) {
    this.#deps = deps
  }

  async get(key: string): Promise<Entry | undefined> {
    const body = await this.#call(PATHS.metadataGet, encodeFeed({ key }), { isRepeatable: true })
    return decodeFeedGot(body).entry
  }

  /** As some node has it: not older than what was seen before. */
  async list(prefix: string): Promise<{ entries: readonly Entry[]; revision: number }> {
    const answer = await this.#ask(0, 0, this.#stop.signal)
    if (!('entries' in answer) || answer.revision < this.#seen) {
      this.#turn++
      throw new Error('the node that was asked is behind; another one will be')
    }
    const { revision, entries } = answer
    this.#seen = revision
    return { revision, entries: entries.filter(({ key }) => key.startsWith(prefix)) }
  }

  async transact(transaction: Transaction): Promise<TransactionOutcome> {
    const { compare, put, remove = [] } = transaction
    const body = encodeFeed({ compare, put, remove })
    const options = { isRepeatable: false }
    return decodeFeedOutcome(await this.#call(PATHS.metadataTransact, body, options))
  }

  async *watch(
    prefix: string,
    fromRevision: number,
    signal: AbortSignal,
  ): AsyncGenerator<Change, void, undefined> {
    const stop = AbortSignal.any([signal, this.#stop.signal])
    let after = fromRevision - 1
    while (!stop.aborted) {
      const answer = await this.#askAny(after, stop)
      if ('entries' in answer) throw new CompactedError('the node keeps no changes so old')
      // A node that is cut off from the store knows of nothing new for ever: others are heard too.
      if (answer.changes.length === 0) this.#turn++
      for (const { revision, events } of answer.changes) {
        if (revision <= after) continue
        after = revision
        this.#seen = Math.max(this.#seen, revision)
        const wanted = events.filter(({ key }) => key.startsWith(prefix))
        if (wanted.length > 0) {
          yield { revision, events: wanted.map(({ key, entry }) => ({ key, entry })) }
        }
      }
    }
  }

  async close(): Promise<void> {
    this.#stop.abort()
  }

  /** The next node at once when one does not answer, as one that stops: leaders move just then. */
  async #askAny(after: number, signal: AbortSignal): Promise<FeedAnswer> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#ask(after, WAIT_MS, signal)
      } catch (error) {
        if (signal.aborted || attempt >= this.#all().length) throw error
      }
    }
  }

  async #ask(after: number, waitMs: number, signal: AbortSignal): Promise<FeedAnswer> {
    const { client, clock } = this.#deps
    const deadlineMs = clock.monotonicMs() + waitMs + SLACK_MS
    const body = encodeFeed({ after, waitMs })
    const options = { lane: 'fetch', deadlineMs, signal } as const
    const { url } = this.#node()
    try {
      const target = { url, incarnation: 0 }
      const answer = await client.callWhole(target, PATHS.metadata, [body], options)
      this.#failures = 0
      return decodeFeedAnswer(answer)
    } catch (error) {
      this.#failed()
      throw error
    }
  }

  /** Another node is asked only if the first one has certainly done nothing, or it may be done twice. */
  async #call(
    path: string,
    body: Uint8Array,
    { isRepeatable }: { readonly isRepeatable: boolean },
  ): Promise<Uint8Array> {
    const { client, clock } = this.#deps
    const deadlineMs = clock.monotonicMs() + CALL_MS
    const options = { lane: 'control', deadlineMs, signal: this.#stop.signal } as const
    for (let attempt = 1; ; attempt++) {
      try {
        const answer = await client.callWhole(this.#node(), path, [body], options)
        this.#failures = 0
        return answer
      } catch (error) {
        this.#failed()
        if (error instanceof ServiceError && !mayServeElsewhere(error)) throw outcomeOf(error)
        const isNone = !(error instanceof InternalCallError) || error.definitelyNotDone
        if (!isNone && !isRepeatable) throw error
        if (attempt >= this.#all().length) throw nobodyThere(error)
      }
    }
  }

  #failed(): void {
    this.#turn++
    this.#failures++
  }

  /** The seeds only after each that is known has failed: they may all have been replaced meanwhile. */
  #node(): CallTarget {
    const all = this.#all()
    const known = this.#deps.nodes().length
    const isTurnOfSeeds = this.#failures % all.length >= known
    const nodes = isTurnOfSeeds ? all.slice(known) : all.slice(0, known)
    return nodes[this.#turn % nodes.length] as CallTarget
  }

  #all(): readonly CallTarget[] {
    const { nodes, seeds } = this.#deps
    const known = nodes()
    const isKnown = (url: string) => known.some((node) => node.url === url)
    const others = seeds.filter((url) => !isKnown(url))
    return [...known, ...others.map((url) => ({ url, incarnation: 0 }))]
  }
}

/** An outcome that the node did not learn is unknown here too, which is no ServiceError by contract. */
function outcomeOf(error: ServiceError): Error {
  return error.code === 'outcome-unknown' ? new Error(error.message, { cause: error }) : error
}

/** The node stops, or is cut off from the store: nothing was done. */
function mayServeElsewhere({ code, committed }: ServiceError): boolean {
  return committed === 'no' && (code === 'draining' || code === 'metadata-unavailable')
}

function nobodyThere(cause: unknown): ServiceError {
  return new ServiceError('metadata-unavailable', 'no storage node can be reached', { cause })
}

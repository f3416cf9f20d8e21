/**
 * A watch of etcd that outlives its connections: each begins behind the last revision that was given,
 * with whichever member serves. A member that falls silent is left.
 */
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import type { Random } from '../env/random.ts'
import { whyOf } from '../lib/why.ts'
import type { EtcdEndpoints } from './etcd-endpoints.ts'
import { etcdErrorOf } from './etcd-error.ts'
import type { EtcdKeys, WatchEvent, WatchMessage } from './etcd-gateway.ts'
import { watchRequest } from './etcd-gateway.ts'
import { LineTooLongError, splitLines } from './line-splitter.ts'
import type { Change } from './metadata-store.ts'
import { CompactedError } from './metadata-store.ts'

export interface EtcdWatchDeps {
  readonly endpoints: EtcdEndpoints
  readonly keys: EtcdKeys
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

export interface EtcdWatchOptions {
  /** How long a member may take to say that the watch stands. */
  readonly openTimeoutMs: number
  /** How long a watch may be without any message, those of progress included. */
  readonly silenceMs: number
  /** Pause before the first try after a failure; doubles with each one, up to `retryMaxMs`. */
  readonly retryMs: number
  readonly retryMaxMs: number
}

/** Beyond any message that etcd sends: 1000 revisions at most, each far below 1.5 MiB. */
const MESSAGE_BYTES_MAX = 128 * 1024 * 1024

export class EtcdWatch {
  readonly #deps: EtcdWatchDeps
  readonly #options: EtcdWatchOptions
  readonly #prefix: string
  #nextRevision: number
  #failures = 0
  /** The log was told that it broke, and has not heard that it goes on. */
  #isBroken: boolean = false
  /** Whether messages of progress come; `missing` once it was said that they do not. */
  #progress: 'unknown' | 'seen' | 'missing' = 'unknown'

  constructor(
    deps: EtcdWatchDeps,
    options: EtcdWatchOptions,
    range: { readonly prefix: string; readonly fromRevision: number },
  ) {
    this.#deps = deps
    this.#options = options
    this.#prefix = range.prefix
    this.#nextRevision = range.fromRevision
  }

  /** Ends when the signal aborts. @throws CompactedError; the reason of the endpoints' end */
  async *changes(signal: AbortSignal): AsyncGenerator<Change> {
    const { endpoints, clock, random, logger } = this.#deps
    const { retryMs, retryMaxMs } = this.#options
    while (!signal.aborted) {
      endpoints.closed.throwIfAborted()
      try {
        yield* this.#connection(signal)
      } catch (error) {
        if (signal.aborted) return
        endpoints.closed.throwIfAborted()
        if (error instanceof CompactedError) throw error
        const fields = { why: whyOf(error), nextRevision: this.#nextRevision }
        if (!this.#isBroken) logger.warn(fields, 'the etcd watch broke and will be taken up again')
        this.#isBroken = true
      }
      const pauseMs = Math.min(retryMaxMs, retryMs * 2 ** this.#failures++) * (0.5 + random.float())
      const stop = AbortSignal.any([signal, endpoints.closed])
      await clock.sleep(pauseMs, stop).catch(() => undefined)
    }
  }

  /** What one connection brings. Returns when its member fell silent. */
  async *#connection(signal: AbortSignal): AsyncGenerator<Change> {
    const { endpoints, clock } = this.#deps
    const { openTimeoutMs, silenceMs } = this.#options
    const own = new AbortController()
    const request = watchRequest(this.#deps.keys, this.#prefix, this.#nextRevision)
    const giveUp = () => own.abort(new Error('no member began the watch in time'))
    let timer = clock.timer(openTimeoutMs, giveUp)
    let endpoint = ''
    let isSilent = false
    const onSilence = () => {
      isSilent = true
      own.abort(new Error('the member fell silent'))
    }
    try {
      const stream = await endpoints.open(request, AbortSignal.any([signal, own.signal]))
      endpoint = stream.endpoint
      for await (const line of splitLines(stream.body, MESSAGE_BYTES_MAX)) {
        // Whoever takes the changes may take its time; only waiting for etcd counts.
        timer.cancel()
        yield* this.#changesOf(decode(request, line))
        timer = clock.timer(silenceMs, onSilence)
      }
      throw new Error('etcd ended the stream')
    } catch (error) {
      if (endpoint !== '' && !(error instanceof CompactedError)) endpoints.leave(endpoint)
      if (!isSilent) throw tooLongIsCompacted(error)
      this.#noteSilence(endpoint)
    } finally {
      timer.cancel()
      own.abort()
    }
  }

  *#changesOf(message: WatchMessage): Generator<Change> {
    if (message.compactRevision > 0) {
      throw new CompactedError(`etcd has no history before revision ${message.compactRevision}`)
    }
    if (message.canceled !== undefined) {
      // A token that has ended is told in words only.
      this.#deps.endpoints.renewToken()
      throw new Error(`etcd canceled the watch: ${message.canceled}`)
    }
    if (!message.isCreated) {
      this.#noteProgress()
      if (message.events.length === 0) this.#progress = 'seen'
    }
    for (const events of byRevision(message.events)) {
      const { revision } = events[0] as WatchEvent
      // Some versions give a watch that begins in the future, or was moved, older events again.
      if (revision < this.#nextRevision) continue
      this.#nextRevision = revision + 1
      yield { revision, events: events.map(({ key, entry }) => ({ key, entry })) }
    }
  }

  #noteProgress(): void {
    this.#failures = 0
    if (!this.#isBroken) return
    this.#isBroken = false
    this.#deps.logger.info({}, 'the etcd watch goes on')
  }

  #noteSilence(endpoint: string): void {
    const { logger } = this.#deps
    this.#failures = 0
    switch (this.#progress) {
      case 'seen':
        logger.warn({ endpoint }, 'an etcd member fell silent; the watch goes on with another')
        break
      case 'unknown':
        this.#progress = 'missing'
        logger.warn(
          { endpoint, silenceMs: this.#options.silenceMs },
          'etcd sends no progress on watches: set its --watch-progress-notify-interval',
        )
        break
      case 'missing':
    }
  }
}

/** Events of one revision are next to each other, and all in one message. */
function byRevision(events: readonly WatchEvent[]): WatchEvent[][] {
  const groups: WatchEvent[][] = []
  for (const event of events) {
    const last = groups.at(-1)
    if (last?.[0]?.revision === event.revision) last.push(event)
    else groups.push([event])
  }
  return groups
}

function decode(request: ReturnType<typeof watchRequest>, line: string): WatchMessage {
  const message: unknown = JSON.parse(line)
  if (typeof message === 'object' && message !== null && 'error' in message) {
    throw etcdErrorOf(200, line)
  }
  return request.decode(message)
}

/** What cannot be read as history must be listed. */
function tooLongIsCompacted(error: unknown): unknown {
  if (!(error instanceof LineTooLongError)) return error
  return new CompactedError('a message of the watch is too large to be read', { cause: error })
}

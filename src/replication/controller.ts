/**
 * Elects leaders for the whole cluster, on the one node that holds the controller's key. What it
 * believes proves nothing: every transaction compares that key, so that one who was replaced, and
 * does not know it yet, changes nothing.
 */
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import type { Metrics } from '../env/metrics.ts'
import { assert } from '../lib/assert.ts'
import { unlessAborted } from '../lib/unless-aborted.ts'
import { whyOf } from '../lib/why.ts'
import type { AwaitableMetadataView } from '../metadata/metadata-image.ts'
import { CONTROLLER_KEY, nodeKey } from '../metadata/metadata-keys.ts'
import { decodeController, encodeRecord } from '../metadata/metadata-records.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import { waitForChange } from '../metadata/wait-for-change.ts'
import type { ControllerTermDeps, ControllerTermOptions } from './controller-term.ts'
import { ControllerTerm } from './controller-term.ts'
import { ELECTIONS } from './election-metric.ts'
import type { NodeSession } from './node-session.ts'

export interface ControllerDeps {
  readonly store: MetadataStore
  readonly metadata: AwaitableMetadataView
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics
}

export interface ControllerOptions extends ControllerTermOptions {
  readonly nodeId: number
  /** How long giving the office up may take when the store does not answer. */
  readonly stopMs: number
}

const DEFAULTS: Omit<ControllerOptions, 'nodeId'> = {
  gatherMs: 10,
  retryMs: 50,
  maxRetryMs: 2_000,
  stopMs: 1_000,
}

const TAKE_FAILED = 'the office of the controller could not be taken'

export class Controller {
  readonly #deps: ControllerDeps
  readonly #options: ControllerOptions
  readonly #termDeps: ControllerTermDeps
  #running: { readonly stop: AbortController; readonly done: Promise<void> } | undefined
  #term: ControllerTerm | undefined

  constructor(
    deps: ControllerDeps,
    options: Pick<ControllerOptions, 'nodeId'> & Partial<ControllerOptions>,
  ) {
    this.#deps = deps
    this.#options = { ...DEFAULTS, ...options }
    const { metrics } = deps
    const [name, help] = ELECTIONS
    this.#termDeps = {
      ...deps,
      elections: metrics.counter(name, help, { kind: 'leader' }),
    }
    metrics.gauge(
      'curlew_offline_partitions',
      'Partitions without a leader, as the controller sees them; 0 on other nodes.',
      () => this.#term?.offlinePartitions ?? 0,
    )
    metrics.gauge(
      'curlew_controller_epoch',
      'Term of office of this node as the controller; 0 while it is not.',
      () => this.epoch,
    )
  }

  /** 0 while this node is not the controller, as far as it knows. */
  get epoch(): number {
    return this.#term?.epoch ?? 0
  }

  /** Stands for election, and does the work whenever elected, for as long as the registration lasts. */
  start(session: NodeSession): void {
    assert(this.#running === undefined, 'the controller is started once per registration')
    const stop = new AbortController()
    const done = this.#run(session, stop.signal).catch((error: unknown) => {
      if (!stop.signal.aborted) this.#deps.logger.error({ error }, 'the controller failed')
    })
    this.#running = { stop, done }
  }

  /** Gives the office up, so that another node can take it at once; nothing goes on afterwards. */
  async stop(): Promise<void> {
    const running = this.#running
    running?.stop.abort()
    await running?.done
    if (this.#running === running) this.#running = undefined
    const term = this.#term
    this.#term = undefined
    if (term !== undefined) await this.#giveUp(term)
  }

  async #run(session: NodeSession, signal: AbortSignal): Promise<void> {
    const { logger, clock } = this.#deps
    for (;;) {
      const epoch = await this.#campaign(session, signal)
      logger.info({ epoch }, 'this node is the controller')
      const term = new ControllerTerm(epoch, this.#termDeps, this.#options)
      this.#term = term
      try {
        await term.serve(signal)
        logger.warn({ epoch }, 'this node is no longer the controller')
      } catch (error) {
        signal.throwIfAborted()
        // Held by one who cannot do its work the office would be worse than empty.
        logger.error({ epoch, error }, 'the controller failed and gives its office up')
        await this.#giveUp(term)
        await clock.sleep(this.#options.maxRetryMs, signal)
      }
      this.#term = undefined
    }
  }

  /** Waits until the office is free, and takes it; resolves with the epoch. */
  async #campaign(session: NodeSession, signal: AbortSignal): Promise<number> {
    const { metadata, logger } = this.#deps
    for (let attempts = 0; ; attempts++) {
      const { controller, version } = metadata.image
      // One of this node's own may be of an attempt whose outcome was not known.
      if (controller !== undefined && controller.nodeId !== this.#options.nodeId) {
        await metadata.waitForVersion(version + 1, signal)
        continue
      }
      try {
        const epoch = await unlessAborted(this.#take(session), signal)
        if (epoch !== undefined) {
          await metadata.waitForVersion(epoch, signal)
          return epoch
        }
      } catch (error) {
        signal.throwIfAborted()
        if (attempts === 0) logger.warn({ why: whyOf(error) }, TAKE_FAILED)
      }
      const { retryMs, maxRetryMs } = this.#options
      const pauseMs = Math.min(retryMs * 2 ** Math.min(attempts, 20), maxRetryMs)
      await waitForChange(this.#deps, version, pauseMs, signal)
    }
  }

  /** undefined: another has the office. Rejects when nobody knows. */
  async #take({ leaseId, incarnation }: NodeSession): Promise<number | undefined> {
    const { store } = this.#deps
    const { nodeId } = this.#options
    const entry = await store.get(CONTROLLER_KEY)
    if (entry !== undefined) {
      const holder = decodeController(entry.value)
      const isOurs = holder.nodeId === nodeId && holder.incarnation === incarnation
      return isOurs ? entry.createRevision : undefined
    }
    const { succeeded, revision } = await store.transact({
      compare: [
        { key: CONTROLLER_KEY, target: 'createRevision', equals: 0 },
        { key: nodeKey(nodeId), target: 'createRevision', equals: incarnation },
      ],
      put: [{ key: CONTROLLER_KEY, value: encodeRecord({ nodeId, incarnation }), leaseId }],
    })
    return succeeded ? revision : undefined
  }

  async #giveUp({ authority, epoch }: ControllerTerm): Promise<void> {
    const { store, clock, logger } = this.#deps
    const late = new AbortController()
    const timer = clock.timer(this.#options.stopMs, () => late.abort())
    try {
      const removal = store.transact({ compare: authority, put: [], remove: [CONTROLLER_KEY] })
      await unlessAborted(removal, late.signal)
    } catch (error) {
      logger.info({ epoch, error }, 'the office of the controller ends with the lease')
    } finally {
      timer.cancel()
    }
  }
}

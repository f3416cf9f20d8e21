/**
 * Keeps a storage node registered: comes into the cluster, renews the lease, and when that is lost
 * gives up all roles and comes in again as another incarnation, with the process going on.
 */

import type { Random } from '../env/random.ts'
import { assert } from '../lib/assert.ts'
import { unlessAborted } from '../lib/unless-aborted.ts'
import { whyOf } from '../lib/why.ts'
import type { AwaitableMetadataView } from '../metadata/metadata-image.ts'
import { nodeKey } from '../metadata/metadata-keys.ts'
import { decodeNode, encodeRecord } from '../metadata/metadata-records.ts'
import type { Lease } from '../metadata/metadata-store.ts'
import { StoreRefusedError } from '../metadata/metadata-store.ts'
import { SilenceLimit } from '../metadata/silence-limit.ts'
import { untilStoreAnswers } from '../metadata/until-store-answers.ts'
import { HeldLease } from './held-lease.ts'
import type { Handover } from './leader-handover.ts'
import { handOverLeaders, leaderships } from './leader-handover.ts'
import type { NodeAdmissionDeps, NodeAdmissionOptions } from './node-admission.ts'
import {
  claimNodeId,
  endPreviousRegistration,
  register,
  rejoinPartitions,
} from './node-admission.ts'
import type { NodeSession } from './node-session.ts'

export interface RegistrationDeps extends NodeAdmissionDeps {
  readonly metadata: AwaitableMetadataView
  readonly random: Random
  /** The image has the registration: roles may start. Must not throw. */
  readonly onRegistered: (session: NodeSession) => void
  /** The registration has ended: resolves when all roles are given up. The node then registers anew. */
  readonly onLost: () => Promise<void>
  /** The node cannot be registered again, and waiting does not help: the process should end. */
  readonly onFatal: (error: unknown) => void
}

export interface RegistrationOptions extends NodeAdmissionOptions {
  /** What the last process with this data directory had, if it is known. */
  readonly lastIncarnation?: number
  /** Pause after a store that did not answer. */
  readonly retryMs?: number
  /** How long a clean stop may wait for the store. */
  readonly stopMs?: number
  /** How long the store may be silent while leaderships are handed over. */
  readonly silenceMs?: number
}

const STOP_MS = 2_000
/** Longer than etcd takes to elect a leader of its own. */
const SILENCE_MS = 3_000
const RETRY_MS = 100

interface Registered {
  readonly session: NodeSession
  readonly held: HeldLease
}

export class NodeRegistration {
  readonly #deps: RegistrationDeps
  readonly #options: RegistrationOptions
  readonly #stop = new AbortController()
  #running: Promise<void> | undefined
  #registered: Registered | undefined
  /** Whether the image has the registration, so that roles were started. */
  #isActive: boolean = false
  /** Its leaderships are being handed over: each may be with another node before this one hears of it. */
  #isLeaving: boolean = false
  #hasStarted: boolean = false
  #lastIncarnation: number | undefined
  #notReady: string | undefined = 'not registered yet'

  constructor(deps: RegistrationDeps, options: RegistrationOptions) {
    this.#deps = deps
    this.#options = options
    this.#lastIncarnation = options.lastIncarnation
  }

  /**
   * Resolves when the node is registered and roles may start, however long the store is away.
   * @throws StoreRefusedError when the node id is somebody else's; rejects with the signal's reason on abort
   */
  async start(signal: AbortSignal): Promise<NodeSession> {
    assert(this.#running === undefined, 'a registration is started once')
    const first = Promise.withResolvers<NodeSession>()
    this.#running = this.#run(first.resolve).catch((error: unknown) => {
      if (this.#hasStarted && !this.#stop.signal.aborted) this.#deps.onFatal(error)
      first.reject(error)
    })
    try {
      const session = await unlessAborted(first.promise, signal)
      this.#hasStarted = true
      return session
    } catch (error) {
      await this.close()
      throw error
    }
  }

  /** undefined while the node is not registered. */
  get session(): NodeSession | undefined {
    return this.#isActive ? this.#registered?.session : undefined
  }

  /** Gives the registration up for another one, as the node must begin without some of its votes. */
  reregister(): void {
    if (this.#isActive) this.#registered?.held.surrender()
  }

  /** When the registration was last renewed, on the monotonic clock; undefined while there is none. */
  get renewedMs(): number | undefined {
    return this.#isActive ? this.#registered?.held.renewedMs : undefined
  }

  /** Why the node cannot serve yet; undefined when it can. */
  get notReady(): string | undefined {
    return this.#isActive ? undefined : this.#notReady
  }

  /**
   * Whether the registration was renewed so recently that no other node can lead what this one
   * leads. `nowMs` is on the monotonic clock.
   */
  isFresh(nowMs: number): boolean {
    return this.#isActive && !this.#isLeaving && this.#registered?.held.isFresh(nowMs) === true
  }

  /**
   * Hands leaderships to other nodes before this one stops; what nobody can take stays until it has,
   * and a store that is silent is waited for only so long. `settle` brings what is under way to its
   * end, once the store is there to hand over with and while it is certain who leads: as soon as the
   * node is marked, others take over.
   */
  async resign(
    signal: AbortSignal,
    settle: () => Promise<void> = async () => undefined,
  ): Promise<Handover> {
    const session = this.session
    if (session === undefined) return { moved: 0, kept: 0 }
    const { clock, logger, metadata } = this.#deps
    const { nodeId, silenceMs = SILENCE_MS } = this.#options
    const silence = new SilenceLimit(clock, silenceMs)
    const stop = AbortSignal.any([signal, silence.passed])
    const settling = once(settle)
    let handover: Handover | undefined
    try {
      await this.#markDraining(session, settling, silence, stop)
      const node = { nodeId, incarnation: session.incarnation }
      handover = await handOverLeaders(this.#deps, node, silence, signal)
    } catch (error) {
      if (!stop.aborted) throw error
      await settling()
    } finally {
      silence.end()
    }
    if (stop.aborted) {
      const kept = leaderships(metadata.image, nodeId)
      const fields = { kept, why: whyOf(stop.reason) }
      logger.warn(fields, 'this node leaves without handing over all that it leads')
    }
    return handover ?? { moved: 0, kept: leaderships(metadata.image, nodeId) }
  }

  /** Ends the registration, so that others need not wait for the lease to expire. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('the node is stopping'))
    await this.#running
    const lease = this.#registered?.held.lease
    this.#registered = undefined
    this.#isActive = false
    if (lease !== undefined) await this.#revoke(lease)
  }

  async #run(onFirst: (session: NodeSession) => void): Promise<void> {
    const { signal } = this.#stop
    for (;;) {
      const { session, held } = await this.#admit(signal)
      this.#lastIncarnation = session.incarnation
      const activating = this.#activate(session, held.lost, signal).then((isActive) => {
        if (isActive) onFirst(session)
        return isActive
      })
      const [activated] = await Promise.all([activating, held.run(signal)])
      this.#deps.logger.warn({ ...session }, 'the registration of this node has ended')
      this.#notReady = 'the registration of this node has ended; it registers anew'
      this.#isActive = false
      if (activated) await this.#deps.onLost()
      this.#registered = undefined
      await this.#revoke(held.lease)
    }
  }

  /** Patient with the store, so that it rejects only for what waiting does not mend. */
  async #admit(signal: AbortSignal): Promise<Registered> {
    const { clock, random, logger } = this.#deps
    const { nodeId, retryMs } = this.#options
    const onWaiting = (why: string) => {
      this.#notReady = why
    }
    const patience = { clock, random, logger, onWaiting, ...(retryMs !== undefined && { retryMs }) }
    const registered = await untilStoreAnswers(() => this.#tryAdmit(signal), patience, signal)
    this.#registered = registered
    logger.info({ nodeId, ...registered.session }, 'this node is registered')
    return registered
  }

  async #tryAdmit(signal: AbortSignal): Promise<Registered> {
    const deps = this.#deps
    const options = this.#options
    const { clock, store } = deps
    for (;;) {
      await endPreviousRegistration(deps, options, this.#lastIncarnation, signal)
      const registryRevision = await unlessAborted(claimNodeId(deps, options), signal)
      await rejoinPartitions(deps, options.nodeId, signal)
      const sentMs = clock.monotonicMs()
      const lease = await unlessAborted(store.lease(options.ttlMs), signal)
      const seen = deps.metadata.image.version
      const incarnation = await unlessAborted(
        register(deps, options, registryRevision, lease),
        signal,
      ).catch(async (error: unknown) => {
        await this.#revoke(lease)
        throw error
      })
      if (incarnation !== undefined) {
        if (incarnation <= seen) {
          await this.#revoke(lease)
          throw fellBack(incarnation, seen)
        }
        const session = { leaseId: lease.id, incarnation }
        const held = new HeldLease(deps, { ...options, incarnation, lease, grantedMs: sentMs })
        return { session, held }
      }
      await this.#revoke(lease)
    }
  }

  /** Whether the image came to show the registration before that was lost. */
  async #activate(session: NodeSession, lost: AbortSignal, signal: AbortSignal): Promise<boolean> {
    this.#notReady = 'waiting until the metadata show the registration of this node'
    try {
      const either = AbortSignal.any([lost, signal])
      await this.#deps.metadata.waitForVersion(session.incarnation, either)
    } catch (error) {
      if (lost.aborted && !signal.aborted) return false
      throw error
    }
    this.#isActive = true
    this.#deps.onRegistered(session)
    return true
  }

  async #markDraining(
    { incarnation, leaseId }: NodeSession,
    settle: () => Promise<void>,
    silence: SilenceLimit,
    signal: AbortSignal,
  ): Promise<void> {
    const { store, metadata } = this.#deps
    const key = nodeKey(this.#options.nodeId)
    const patience = { ...this.#deps, retryMs: RETRY_MS }
    const answered = async <T>(call: () => Promise<T>): Promise<T> => {
      const answer = await untilStoreAnswers(() => unlessAborted(call(), signal), patience, signal)
      silence.heard()
      return answer
    }
    const entry = await answered(() => store.get(key))
    if (entry?.createRevision !== incarnation) return
    await settle()
    this.#isLeaving = true
    silence.heard()
    const value = encodeRecord({ ...decodeNode(entry.value), draining: true })
    const { succeeded, revision } = await answered(() =>
      store.transact({
        compare: [{ key, target: 'createRevision', equals: incarnation }],
        put: [{ key, value, leaseId }],
      }),
    )
    if (succeeded) await metadata.waitForVersion(revision, signal)
  }

  /** Best done, but never waited for long: the lease ends by itself. */
  async #revoke(lease: Lease): Promise<void> {
    const { clock, logger } = this.#deps
    const late = new AbortController()
    const timer = clock.timer(this.#options.stopMs ?? STOP_MS, () => late.abort())
    try {
      await unlessAborted(lease.revoke(), late.signal)
    } catch (error) {
      logger.info({ why: whyOf(error) }, 'a lease was not revoked and will expire')
    } finally {
      timer.cancel()
    }
  }
}

/** What the store numbers now it has numbered before: incarnations would be given out a second time. */
function fellBack(revision: number, seen: number): StoreRefusedError {
  return new StoreRefusedError(
    `the metadata store fell back (it is at revision ${revision}, and this node has seen ${seen}), as after a restore from a backup; start the node again`,
  )
}

function once(job: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined
  return () => {
    done ??= job()
    return done
  }
}

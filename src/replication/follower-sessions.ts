/** The followers of this node: one session each, and when each was last heard of. */
import type { Clock } from '../env/clock.ts'
import type { ReplicaFetchReply, ReplicaFetchRequest } from '../wire/replica-fetch.ts'
import type { FollowerSessionDeps } from './follower-session.ts'
import { FollowerSession } from './follower-session.ts'

/** More nodes than a cluster has; the one that was silent longest makes room. */
const SESSIONS_MAX = 1024

export interface FollowerSessionsDeps extends FollowerSessionDeps {
  readonly clock: Clock
}

export class FollowerSessions {
  readonly #deps: FollowerSessionsDeps
  /** By node, longest silent first. */
  readonly #sessions = new Map<number, FollowerSession>()
  readonly #seenMs = new Map<number, number>()
  #nextId = 1
  #isClosed: boolean = false

  constructor(deps: FollowerSessionsDeps) {
    this.#deps = deps
  }

  /** When the node last asked, on the monotonic clock; -Infinity for never. */
  seenMs(nodeId: number): number {
    return this.#seenMs.get(nodeId) ?? Number.NEGATIVE_INFINITY
  }

  async fetch(request: ReplicaFetchRequest, signal: AbortSignal): Promise<ReplicaFetchReply> {
    const session = this.#isClosed ? undefined : this.#session(request)
    if (session === undefined) return 'session-unknown'
    this.#seenMs.set(request.followerId, this.#deps.clock.monotonicMs())
    const parts = await session.fetch(request, signal)
    return { sessionId: session.id, sessionStep: request.sessionStep, parts }
  }

  /** Fetches that wait are answered with what there is. */
  close(): void {
    this.#isClosed = true
    for (const session of this.#sessions.values()) session.close()
    this.#sessions.clear()
  }

  #session(request: ReplicaFetchRequest): FollowerSession | undefined {
    const { followerId, incarnation, sessionId } = request
    const known = this.#sessions.get(followerId)
    if (known?.continues(request)) {
      this.#sessions.delete(followerId)
      this.#sessions.set(followerId, known)
      return known
    }
    if (sessionId !== 0 || known?.isOfLaterLife(incarnation) === true) return undefined
    known?.close()
    this.#sessions.delete(followerId)
    if (this.#sessions.size >= SESSIONS_MAX) this.#dropOldest()
    const session = new FollowerSession(this.#deps, this.#nextId++, followerId, incarnation)
    this.#sessions.set(followerId, session)
    return session
  }

  #dropOldest(): void {
    for (const [nodeId, session] of this.#sessions) {
      session.close()
      this.#sessions.delete(nodeId)
      this.#seenMs.delete(nodeId)
      return
    }
  }
}

/**
 * What the leader of a partition knows of its followers, and what follows from it: how far the high
 * watermark may go, and who should join or leave the in-sync replicas. The rules are Kafka's
 * (KIP-497, KIP-903, KIP-966), with durable offsets where Kafka counts written ones.
 */

/** What the metadata say of a partition, as far as its leader needs it. */
export interface Assignment {
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  readonly elr: readonly number[]
  /** With fewer in sync nothing more is committed; at most the number of replicas. */
  readonly minInsync: number
  /** Revision of the partition's record. */
  readonly revision: number
}

export interface FollowerFetch {
  readonly incarnation: number
  /** Behind the last record that it has. */
  readonly fetchOffset: number
  /** Behind the last record that it would have after a power failure. */
  readonly durableOffset: number
  /** Below it the follower has removed everything for good. */
  readonly logStartOffset: number
}

/** What the leader can see of the other nodes. */
export interface Peers {
  /** The incarnation of a node that is up, undefined for one that is not. */
  incarnationOf(nodeId: number): number | undefined
  /** Whether the node said that its disk takes no more. */
  isFull(nodeId: number): boolean
  /** When the node last asked for records of any partition; -Infinity for never. Monotonic milliseconds. */
  seenMs(nodeId: number): number
}

/** A change of the in-sync replicas that the leader asks for. */
export interface IsrProposal {
  readonly isr: readonly number[]
  readonly added: readonly { readonly nodeId: number; readonly incarnation: number }[]
  /** The revision of the record that it changes. */
  readonly revision: number
}

interface Follower extends FollowerFetch {
  /** Until when it is known to have had all there was. */
  readonly caughtUpMs: number
  readonly fetchedMs: number
  /** Where the leader's durable log ended at that fetch. */
  readonly leaderEnd: number
}

const NOWHERE = -1

export class InSyncReplicas {
  readonly #nodeId: number
  readonly #lagMaxMs: number
  readonly #peers: Peers
  readonly #sinceMs: number
  readonly #followers = new Map<number, Follower>()
  #assignment: Assignment
  #pending: IsrProposal | undefined

  /** `lagMaxMs`: how long a follower may be behind before it counts as out of sync. */
  constructor(
    options: { readonly nodeId: number; readonly lagMaxMs: number; readonly peers: Peers },
    assignment: Assignment,
    nowMs: number,
  ) {
    this.#peers = options.peers
    this.#nodeId = options.nodeId
    this.#lagMaxMs = options.lagMaxMs
    this.#assignment = assignment
    this.#sinceMs = nowMs
  }

  get assignment(): Assignment {
    return this.#assignment
  }

  /** A proposal whose outcome is not known. */
  get pending(): IsrProposal | undefined {
    return this.#pending
  }

  /** Whether enough are in sync to append for all of them. */
  get hasEnough(): boolean {
    return this.#assignment.isr.length >= this.#assignment.minInsync
  }

  isReplica(nodeId: number): boolean {
    return this.#assignment.replicas.includes(nodeId)
  }

  /** How far each follower has come that was heard of in this term. */
  get followers(): Iterable<{ readonly nodeId: number; readonly fetchOffset: number }> {
    return this.#followers.entries().map(([nodeId, { fetchOffset }]) => ({ nodeId, fetchOffset }))
  }

  /** Durable offset of a follower, -1 as long as it has not asked in this term. */
  durableOffsetOf(nodeId: number): number {
    return this.#followers.get(nodeId)?.durableOffset ?? NOWHERE
  }

  /** Takes over what the metadata say now; older than what is known, it changes nothing. */
  assign(assignment: Assignment): void {
    if (assignment.revision < this.#assignment.revision) return
    // Whatever was pending compares an older revision: it is this one, or it will never be.
    if (assignment.revision > this.#assignment.revision) this.#pending = undefined
    this.#assignment = assignment
    for (const nodeId of this.#followers.keys()) {
      if (!assignment.replicas.includes(nodeId)) this.#followers.delete(nodeId)
    }
  }

  /** A follower asked for records; `leaderEnd` is where the leader's durable log ends. */
  fetched(nodeId: number, fetch: FollowerFetch, leaderEnd: number, nowMs: number): void {
    const known = this.#followers.get(nodeId)
    const before = known?.incarnation === fetch.incarnation ? known : undefined
    let caughtUpMs = before?.caughtUpMs ?? Number.NEGATIVE_INFINITY
    if (fetch.fetchOffset >= leaderEnd) caughtUpMs = nowMs
    else if (before !== undefined && fetch.fetchOffset >= before.leaderEnd) {
      caughtUpMs = Math.max(caughtUpMs, before.fetchedMs)
    }
    const { incarnation, fetchOffset, durableOffset, logStartOffset } = fetch
    this.#followers.set(nodeId, {
      incarnation,
      fetchOffset,
      durableOffset,
      logStartOffset,
      caughtUpMs,
      fetchedMs: nowMs,
      leaderEnd,
    })
  }

  /** The leader has lost what it had from `endOffset` on: whoever has more has other records than will come. */
  endFell(endOffset: number): void {
    for (const [nodeId, { fetchOffset }] of this.#followers) {
      if (fetchOffset > endOffset) this.#followers.delete(nodeId)
    }
  }

  /** There are records to copy behind `leaderEnd`: who had all until now had it as late as it was seen. */
  endMoves(leaderEnd: number): void {
    for (const [nodeId, follower] of this.#followers) {
      if (follower.fetchOffset < leaderEnd) continue
      const caughtUpMs = Math.max(follower.caughtUpMs, this.#peers.seenMs(nodeId))
      this.#followers.set(nodeId, { ...follower, caughtUpMs })
    }
  }

  /** Up to where all that must have the records have them for good; never below `current`. */
  highWatermark(current: number, ownDurableEnd: number): number {
    // As long as others may be elected for what they hold, they must hold all that is committed.
    if (!this.hasEnough || this.#assignment.elr.length > 0) return current
    let lowest = ownDurableEnd
    for (const nodeId of this.#maximal()) {
      if (nodeId === this.#nodeId) continue
      lowest = Math.min(lowest, this.durableOffsetOf(nodeId))
    }
    return Math.max(current, lowest)
  }

  /** Whether everybody who may lead next has removed what is below `offset`. */
  haveRemoved(offset: number): boolean {
    const mayLead = new Set([...this.#maximal(), ...this.#assignment.elr])
    mayLead.delete(this.#nodeId)
    return [...mayLead].every((nodeId) => {
      return (this.#followers.get(nodeId)?.logStartOffset ?? NOWHERE) >= offset
    })
  }

  /**
   * The change that is due, if any and none is pending. `highWatermark` and `epochStart` are what a
   * follower must have reached to join: the watermark of a new leader may be behind what is committed.
   * Nor may it bring back what was removed below `leaderStart`.
   */
  due(
    bounds: {
      readonly highWatermark: number
      readonly epochStart: number
      readonly leaderEnd: number
      readonly leaderStart: number
    },
    nowMs: number,
  ): IsrProposal | undefined {
    if (this.#pending !== undefined) return undefined
    const { replicas, isr, elr, revision } = this.#assignment
    const added: { nodeId: number; incarnation: number }[] = []
    const next = replicas.filter((nodeId) => {
      if (nodeId === this.#nodeId) return true
      if (isr.includes(nodeId)) return this.#isInSync(nodeId, bounds.leaderEnd, nowMs)
      const follower = this.#followers.get(nodeId)
      const mayJoin =
        follower !== undefined &&
        follower.durableOffset >= Math.max(bounds.highWatermark, bounds.epochStart) &&
        follower.logStartOffset >= bounds.leaderStart &&
        this.#peers.incarnationOf(nodeId) === follower.incarnation &&
        nowMs - this.#peers.seenMs(nodeId) <= this.#lagMaxMs &&
        !this.#lacksForGood(nodeId, bounds.leaderEnd)
      if (mayJoin) added.push({ nodeId, incarnation: follower.incarnation })
      return mayJoin
    })
    const mustClear = elr.length > 0 && next.length >= this.#assignment.minInsync
    if (added.length === 0 && next.length === isr.length && !mustClear) return undefined
    return { isr: next, added, revision }
  }

  /** The proposal is on its way to the metadata: until its outcome is known the stricter view holds. */
  propose(proposal: IsrProposal): void {
    this.#pending = proposal
  }

  /** The proposal was certainly not applied. */
  rejected(proposal: IsrProposal): void {
    if (this.#pending === proposal) this.#pending = undefined
  }

  #isInSync(nodeId: number, leaderEnd: number, nowMs: number): boolean {
    const follower = this.#followers.get(nodeId)
    const incarnation = this.#peers.incarnationOf(nodeId)
    if (incarnation === undefined) return false
    if (this.#lacksForGood(nodeId, leaderEnd)) return false
    if (follower === undefined) return nowMs - this.#sinceMs <= this.#lagMaxMs
    // Restarted: what it reported in its earlier life no longer counts.
    if (follower.incarnation !== incarnation) return false
    const caughtUpMs =
      follower.fetchOffset >= leaderEnd
        ? Math.max(follower.caughtUpMs, this.#peers.seenMs(nodeId))
        : follower.caughtUpMs
    return nowMs - Math.max(caughtUpMs, this.#sinceMs) <= this.#lagMaxMs
  }

  /** Whether the follower lacks records and has no room for them: nobody has to wait for it. */
  #lacksForGood(nodeId: number, leaderEnd: number): boolean {
    const fetchOffset = this.#followers.get(nodeId)?.fetchOffset ?? NOWHERE
    return fetchOffset < leaderEnd && this.#peers.isFull(nodeId)
  }

  /** All that are in sync, and all that a pending change would add. */
  *#maximal(): Iterable<number> {
    const { isr } = this.#assignment
    yield* isr
    for (const nodeId of this.#pending?.isr ?? []) if (!isr.includes(nodeId)) yield nodeId
  }
}

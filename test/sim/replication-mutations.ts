/** Lines by which records reach every replica, and readers no others. */
import type { Mutation } from './mutation.ts'

const IN_SYNC = 'src/core/in-sync-replicas.ts'
const COPY = 'src/replication/follower-copy.ts'
const SESSION = 'src/replication/follower-session.ts'
const TENURE = 'src/replication/leader-tenure.ts'
const FETCH = 'src/replication/replica-fetch.ts'

const FOLLOWER_COPY = 'test/replication/follower-copy.test.ts'
const FOLLOWER_SESSION = 'test/replication/follower-session.test.ts'
const CLUSTER_PART = 'test/replication/cluster-part.test.ts'
const LEADER_TENURE = 'test/replication/leader-tenure.test.ts'

export const REPLICATION_MUTATIONS: readonly Mutation[] = [
  {
    name: 'followers report what is written as durable',
    file: COPY,
    find: 'durableOffset: log.durableEnd,\n      lastFetchedEpoch',
    replace: 'durableOffset: log.endOffset,\n      lastFetchedEpoch',
    also: {
      file: 'src/replication/replica-fetcher.ts',
      find: 'await storage.appender.journaled()\n',
      replace: '\n',
    },
  },
  {
    name: 'the leader commits what is not durable on itself',
    file: TENURE,
    find: 'this.inSync.highWatermark(log.highWatermark, log.durableEnd)',
    replace: 'this.inSync.highWatermark(log.highWatermark, log.endOffset)',
  },
  {
    name: 'acks=all is answered when the leader has it',
    file: TENURE,
    find: 'this.#durableAcks.advance(durableEnd)\n    this.#advance()',
    replace:
      'this.#durableAcks.advance(durableEnd)\n    this.#committedAcks.advance(durableEnd)\n    this.#advance()',
  },
  {
    name: 'the high watermark moves below the minimum of in-sync replicas',
    file: IN_SYNC,
    find: 'if (!this.hasEnough || this.#assignment.elr.length > 0) return current',
    replace: '',
  },
  {
    name: 'the high watermark ignores a pending expansion',
    file: IN_SYNC,
    find: 'for (const nodeId of this.#pending?.isr ?? []) if (!isr.includes(nodeId)) yield nodeId',
    replace: '',
  },
  {
    name: 'the high watermark counts a pending shrink as done',
    file: IN_SYNC,
    find: '    yield* isr\n',
    replace: '    yield* this.#pending?.isr ?? isr\n',
  },
  {
    name: 'a follower joins with what is written, not durable',
    file: IN_SYNC,
    find: 'follower.durableOffset >= Math.max(bounds.highWatermark, bounds.epochStart)',
    replace: 'follower.fetchOffset >= Math.max(bounds.highWatermark, bounds.epochStart)',
    also: {
      file: 'src/replication/replica-fetcher.ts',
      find: 'await storage.appender.journaled()\n',
      replace: '\n',
    },
  },
  {
    name: 'a follower joins before the start of the epoch',
    file: IN_SYNC,
    find: 'follower.durableOffset >= Math.max(bounds.highWatermark, bounds.epochStart)',
    replace: 'follower.durableOffset >= bounds.highWatermark',
  },
  {
    name: 'a follower joins wherever it is',
    file: IN_SYNC,
    find: 'follower.durableOffset >= Math.max(bounds.highWatermark, bounds.epochStart) &&',
    replace: '',
  },
  {
    name: 'followers of another epoch are served and counted',
    file: SESSION,
    find: 'if (tenure === undefined || tenure.leaderEpoch !== position.leaderEpoch) return undefined',
    replace: 'if (tenure === undefined) return undefined',
    scenario: 'three-leaders-are-believed-in',
  },
  {
    name: 'nobody looks whether logs diverge',
    file: SESSION,
    find: 'const isDiverging = divergingEpoch < lastFetchedEpoch || endOffset < fetchOffset',
    replace: 'const isDiverging = false',
  },
  {
    name: 'a follower whose log diverges counts',
    file: SESSION,
    find: 'if (faultOf(entry) !== undefined) return tenure',
    replace: '',
  },
  {
    name: 'a follower heeds what it asked for in another epoch',
    file: COPY,
    find: "if (told === undefined || following?.leaderEpoch !== told.leaderEpoch) return 'applied'",
    replace: "if (told === undefined) return 'applied'",
    test: FOLLOWER_COPY,
  },
  {
    name: 'a follower begins its log anew for a leader that was replaced',
    file: COPY,
    find: "Applied | Promise<Applied> {\n    if (this.replica.following?.leaderEpoch !== leaderEpoch) return 'applied'\n",
    replace: 'Applied | Promise<Applied> {\n',
    test: FOLLOWER_COPY,
  },
  {
    name: 'a follower takes records of a leader that was replaced',
    file: COPY,
    find: "if (this.replica.following?.leaderEpoch !== leaderEpoch) return 'applied'\n    this.#notePurged(part)",
    replace: 'this.#notePurged(part)',
    test: FOLLOWER_COPY,
  },
  {
    name: 'a log that ends amid a batch of its leader goes on there',
    file: COPY,
    find: 'if (this.#isCutShort(part)) {',
    replace: 'if (this.#isCutShort(part) && bytes < 0) {',
    test: CLUSTER_PART,
  },
  {
    name: 'a log goes on at a record that cannot follow its own',
    file: SESSION,
    find: 'fetchOffset === log.endOffset || lastFetchedEpoch <= log.epochs.epochAt(fetchOffset)',
    replace: 'fetchOffset >= 0',
    test: CLUSTER_PART,
  },
  {
    name: 'the role changes while a log is cut',
    file: 'src/replication/replica.ts',
    find: 'if (this.#isReplacing) {',
    replace: 'if (this.#isReplacing && this.#nextRole !== undefined) {',
    test: CLUSTER_PART,
  },
  {
    name: 'a leader heeds a follower of before its restart',
    file: 'src/replication/follower-sessions.ts',
    find: 'if (sessionId !== 0 || known?.isOfLaterLife(incarnation) === true) return undefined',
    replace: 'if (sessionId !== 0) return undefined',
    test: FOLLOWER_SESSION,
  },
  {
    name: 'a leader heeds requests in any order',
    file: SESSION,
    find: 'request.sessionStep === this.#step + 1',
    replace: 'request.sessionStep >= 0',
    test: FOLLOWER_SESSION,
  },
  {
    name: 'a leader counts on followers for what its disk took back',
    file: TENURE,
    find: 'this.inSync.endFell(endOffset)\n',
    replace: '\n',
    test: CLUSTER_PART,
  },
  {
    name: 'a leader that may have been replaced promises what it alone has',
    file: TENURE,
    find: 'if (acks !== -1 && !this.#deps.isCertain()) {',
    replace: 'if (acks < -1) {',
    test: LEADER_TENURE,
  },
  {
    name: 'a leader is certain although it may have handed over',
    file: 'src/replication/replica.ts',
    find: ' && revision !== this.#leftFrom',
    replace: '',
    test: 'test/replication/leader-moves.test.ts',
  },
  {
    name: 'a leader is certain while it hands over all that it leads',
    file: 'src/replication/registration.ts',
    find: ' && !this.#isLeaving',
    replace: '',
    test: 'test/replication/registration.test.ts',
  },
  {
    name: 'a move of unknown outcome counts as refused',
    file: 'src/replication/leader-moves.ts',
    find: 'if (error !== undefined) throw error',
    replace: 'if (error !== undefined) return false',
    test: 'test/replication/leader-moves.test.ts',
  },
  {
    name: 'the controller replaces leaders that are up',
    file: 'src/core/election.ts',
    find: 'rules.isLive(leader) && partition.isr',
    replace: 'rules.isLive(leader) && !isAvoided(leader, rules) && partition.isr',
  },
  {
    name: 'a new leader says where the log ends before it knows',
    file: 'src/replication/replica-manager.ts',
    find: 'if (tenure === undefined || log.highWatermark >= tenure.epochStart) return\n',
    replace: 'return\n',
    test: LEADER_TENURE,
  },
  {
    name: 'a follower takes records that do not continue its log',
    file: COPY,
    find: 'if (!this.#continues(batch, leaderEpoch)) {',
    replace: 'if (batch.length === 0) {',
    scenario: 'records-change-on-the-way',
  },
  {
    name: 'a log is cut to its own high watermark',
    file: COPY,
    find: 'const cutTo = end < log.startOffset || isThinned ? 0 : end',
    replace:
      'const cutTo = end < log.startOffset || isThinned ? 0 : Math.min(end, log.highWatermark)',
  },
  {
    name: 'a log is cut to the end of the leader alone',
    file: COPY,
    find: 'const end = Math.min(endOffset, ownEnd)',
    replace: 'const end = endOffset',
    scenario: 'fork-shorter-than-an-earlier-epoch',
  },
  {
    name: 'readers get what is not committed',
    file: FETCH,
    find: '    endOffset: replica.log.highWatermark,\n    maxBytes',
    replace: '    endOffset: replica.log.endOffset,\n    maxBytes',
  },
  {
    name: 'a leader that was replaced says where the log ends',
    file: FETCH,
    find: 'if (lastEpoch > latest && replica.isOneOfSeveral) {',
    replace: 'if (lastEpoch > latest && replica.isOneOfSeveral && offset < 0) {',
    scenario: 'readers-come-back-to-a-replaced-leader',
  },
  {
    name: 'an append that broke off counts as refused',
    file: 'src/internal/append-exchange.ts',
    find: "why}`, 'unknown')\n",
    replace: "why}`, 'no')\n",
  },
  {
    name: 'a new epoch does not begin in the log',
    file: TENURE,
    find: 'appender.beginEpoch(log, this.#appendEpoch)',
    replace: '',
    test: 'test/replication/replica-lifecycle.test.ts',
  },
  {
    name: 'a deletion is promised when the leader has done it',
    file: 'src/replication/replica-manager.ts',
    find: 'tenure?.removedEverywhere(before, signal),',
    replace: 'tenure?.removedEverywhere(0, signal),',
  },
  {
    name: 'a deletion is promised though who is eligible has not done it',
    file: IN_SYNC,
    find: 'new Set([...this.#maximal(), ...this.#assignment.elr])',
    replace: 'new Set(this.#maximal())',
    test: 'test/core/in-sync-replicas.test.ts',
  },
  {
    name: 'what a follower has not removed for good counts as removed',
    file: COPY,
    find: 'logStartOffset: log.durableStart,',
    replace: 'logStartOffset: log.startOffset,',
    test: 'test/replication/follower-copy.test.ts',
  },
  {
    name: 'a follower joins that still has what was deleted',
    file: IN_SYNC,
    find: 'follower.logStartOffset >= bounds.leaderStart &&',
    replace: '',
  },
  {
    name: 'followers remove by age what their leader keeps',
    file: 'src/replication/hosting.ts',
    find: 'const retention = removes ? { retentionMs, retentionBytes } : UNTIL_TOLD',
    replace: 'const retention = { retentionMs, retentionBytes }',
  },
  {
    name: 'that there is nothing is taken from a follower',
    file: 'src/front/cluster-fetch.ts',
    find: 'if (answers.length > 0) return answers\n    const leaders',
    replace: 'if (answers.length >= 0) return answers\n    const leaders',
    scenario: 'reads-near-a-lagging-follower',
  },
  {
    name: 'a log that was compacted further is cut amid that',
    file: COPY,
    find: 'const cutTo = end < log.startOffset || isThinned ? 0 : end',
    replace: 'const cutTo = end < log.startOffset ? 0 : end',
    test: 'test/replication/compacted-copy.test.ts',
  },
  {
    name: 'who missed the deletion of a key goes on',
    file: COPY,
    find: 'return purgedEnd > log.compacted.purgedEnd && purgedEnd > log.endOffset',
    replace: 'return purgedEnd < 0',
    scenario: 'replica-misses-the-deletion-of-keys',
  },
]

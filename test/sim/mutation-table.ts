/** Lines that keep records safe, each with what the code would be without it. */
export interface Patch {
  readonly file: string
  /** Occurs exactly once. */
  readonly find: string
  readonly replace: string
}

export interface Mutation extends Patch {
  readonly name: string
  /** What else has to go, where one line stands in for the other. */
  readonly also?: Patch | readonly Patch[]
  /** A scenario that must notice it. */
  readonly scenario?: string
  /** Tests that must notice it, where seeds hardly ever come to it. Without either the seeds must. */
  readonly test?: string
}

const IN_SYNC = 'src/core/in-sync-replicas.ts'
const ELECTION = 'src/core/election.ts'
const ISR_CHANGES = 'src/replication/isr-changes.ts'
const COPY = 'src/replication/follower-copy.ts'
const SESSION = 'src/replication/follower-session.ts'
const TENURE = 'src/replication/leader-tenure.ts'
const FETCH = 'src/replication/replica-fetch.ts'
const ADMISSION = 'src/replication/node-admission.ts'
const WRITES = 'src/metadata/partition-writes.ts'

const RUNTIME = 'src/coordinator/coordinator-runtime.ts'
const STORAGE_LOG = 'src/coordinator/storage-log.ts'
const GROUP_OFFSETS = 'src/coordinator/group-offsets.ts'
const MEMBER_ASSIGNMENT = 'src/core/member-assignment.ts'

const FOLLOWER_COPY = 'test/replication/follower-copy.test.ts'

export const MUTATIONS: readonly Mutation[] = [
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
    name: 'a change of ISR compares no revision of the partition',
    file: ISR_CHANGES,
    find: "{ key, target: 'modRevision', equals: revision },",
    replace: '',
  },
  {
    name: 'a change of ISR compares no incarnation of who joins',
    file: ISR_CHANGES,
    find: '...proposal.added.map((added) => ({',
    replace: '...proposal.added.slice(0, 0).map((added) => ({',
    scenario: 'kip-903-empty-replica-slips-in',
  },
  {
    name: 'a change of ISR of unknown outcome counts as refused',
    file: ISR_CHANGES,
    find: '        isUnknown = true\n',
    replace: '        tenure.inSync.rejected(proposal)\n        return\n',
    scenario: 'isr-expansion-without-answer',
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
    name: 'anybody who is up is elected',
    file: ELECTION,
    find: 'for (const members of [isr, elr]) {',
    replace: 'for (const members of [isr, elr, replicas]) {',
  },
  {
    name: 'an election does not raise the epoch',
    file: ELECTION,
    find: 'return { ...partition, leader, leaderEpoch: partition.leaderEpoch + 1 }',
    replace: 'return { ...partition, leader, leaderEpoch: partition.leaderEpoch }',
  },
  {
    name: 'whoever leaves ISR below the minimum is not eligible',
    file: ELECTION,
    find: ': partition.replicas.filter((node) => !isr.includes(node) && mayLead(node))',
    replace: ': partition.replicas.filter((node) => partition.elr.includes(node) && mayLead(node))',
  },
  {
    name: 'a node that lost its disk keeps its vote',
    file: ELECTION,
    find: 'if (votes && !isTrusted) {',
    replace: 'if (votes && isTrusted && !isTrusted) {',
  },
  {
    name: 'a node does not rejoin before it registers',
    file: ADMISSION,
    find: 'if (changes.length === 0) return\n',
    replace: 'return\n',
  },
  {
    name: 'a node leads what it led before it registered',
    file: ELECTION,
    find: 'if (next.leader === nodeId) next = withLeader(next, -1)',
    replace: '',
  },
  {
    name: 'the controller writes without its authority',
    file: WRITES,
    find: 'const compare: Compare[] = [...authority]',
    replace: 'const compare: Compare[] = authority.slice(0, 0)',
    test: 'test/metadata/partition-writes.test.ts',
  },
  {
    name: 'the controller compares no revision of the partition',
    file: WRITES,
    find: "compare.push({ key: keyOf(change), target: 'modRevision', equals: change.seenRevision })",
    replace: 'keyOf(change)',
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
    replace: 'if (lastEpoch > epochs.latest && replica.isOneOfSeveral && offset < 0) {',
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
    name: 'a follower joins that still has what was deleted',
    file: IN_SYNC,
    find: 'follower.logStartOffset >= bounds.leaderStart &&',
    replace: '',
  },
  {
    name: 'a cut takes damage for the end of the log',
    file: 'src/storage/log-files.ts',
    find: 'if (!isFound && endOffset < offset) {',
    replace: 'if (isFound && endOffset < 0) {',
    scenario: 'follower-cuts-a-damaged-log',
  },
  {
    name: 'a leader keeps a log that it cannot read',
    file: 'src/replication/damaged-logs.ts',
    find: "|| error.code !== 'partition-damaged') return false",
    replace: ') return false\n    if (error.message.length > 0) return false',
    scenario: 'leader-meets-damage-in-a-segment',
  },
  {
    name: 'a damaged log is not filled again',
    file: 'src/replication/damaged-logs.ts',
    find: 'return log.damage !== undefined && this.#voteless.has(log)',
    replace: 'return false',
    scenario: 'journal-damaged-across-a-restart',
  },
  {
    name: 'an operator may give records up that somebody has',
    file: 'src/front/partition-elections.ts',
    find: 'if (clean !== undefined) {',
    replace: 'if (clean === -1) {',
  },
  {
    name: 'others count as whole after an unclean election',
    file: ELECTION,
    find: '    isr: [nodeId],\n    elr: [],\n    unclean',
    replace: '    elr: [],\n    unclean',
  },
  {
    name: 'retention removes what is not committed',
    file: 'src/storage/log-cleaner.ts',
    find: '|| segment.endOffset > log.highWatermark) break',
    replace: ') break',
  },
  {
    name: 'followers remove by age what their leader keeps',
    file: 'src/replication/hosting.ts',
    find: 'const retention = removes ? { retentionMs, retentionBytes } : UNTIL_TOLD',
    replace: 'const retention = { retentionMs, retentionBytes }',
  },
  {
    name: 'replicas share racks',
    file: 'src/core/placement.ts',
    find: 'if (newRackOnly && chosen.some(({ rack }) => rack === node.rack)) continue',
    replace: '',
    scenario: 'replicas-on-all-racks',
  },
  {
    name: 'records are promised before they are durable',
    file: 'src/storage/journal.ts',
    find: 'await written\n',
    replace: 'written.catch((error) => this.#fail(error))\n',
    scenario: 'power-goes-with-the-acknowledgement',
  },
  {
    name: 'a failed sync is taken for a success',
    file: 'src/storage/journal.ts',
    find: 'await written\n',
    replace: 'await written.catch(() => undefined)\n',
  },
  {
    name: 'followers are sent what the journal may still refuse',
    file: 'src/storage/partition-log.ts',
    find: 'return this.#placedEnd',
    replace: 'return this.#endOffset',
    scenario: 'leader-takes-back-what-waits',
  },
  {
    name: 'that there is nothing is taken from a follower',
    file: 'src/front/cluster-fetch.ts',
    find: 'if (answers.length > 0) return answers\n    const leaders',
    replace: 'if (answers.length >= 0) return answers\n    const leaders',
    scenario: 'reads-near-a-lagging-follower',
  },
  {
    name: 'a coordinator answers before its records are committed',
    file: RUNTIME,
    find: 'this.#append(batch, i === batches.length - 1 ? answers : [])',
    replace: 'this.#append(batch, [])\n      if (i === 0) for (const { leave } of answers) leave()',
  },
  {
    name: 'a coordinator answers what it saw before that is committed',
    file: RUNTIME,
    find: 'if (last !== undefined) last.push(...answers)',
    replace: 'if (last === answers) last.push(...answers)',
    scenario: 'coordinator-is-asked-for-what-is-not-committed',
  },
  {
    name: 'the records of a coordinator are acknowledged by its leader alone',
    file: STORAGE_LOG,
    find: 'acks: -1, expectedOffset',
    replace: 'acks: 1, expectedOffset',
  },
  {
    name: 'a coordinator does not read its log to the end',
    file: STORAGE_LOG,
    find: 'const { logEndOffset } = await',
    replace: 'const { highWatermark: logEndOffset } = await',
    scenario: 'coordinator-begins-with-what-may-not-be-committed',
  },
  {
    name: 'a coordinator writes behind whatever was written',
    file: STORAGE_LOG,
    find: 'acks: -1, expectedOffset, batch',
    replace: 'acks: -1, batch',
    test: 'test/coordinator/storage-log.test.ts',
  },
  {
    name: 'a coordinator writes under whatever epoch',
    file: STORAGE_LOG,
    find: 'const request = { ...this.#at, acks',
    replace: 'const request = { ...this.#at, leaderEpoch: undefined, acks',
    test: 'test/coordinator/storage-log.test.ts',
  },
  {
    name: 'a coordinator that may have been replaced answers',
    file: RUNTIME,
    find: 'else if (this.#deps.log.isLeading)',
    replace: 'else if (this.#deps.log !== undefined)',
    scenario: 'coordinator-that-was-replaced-is-asked',
  },
  {
    name: 'a commit that comes late takes offsets back',
    file: GROUP_OFFSETS,
    find: 'if (onlyForward !== true || !isTakenBack(group, offset)) {',
    replace: 'if (onlyForward !== true || !isTakenBack(undefined, offset)) {',
    scenario: 'commit-comes-behind-a-later-one',
  },
  {
    name: 'whoever owned a partition once may commit it',
    file: MEMBER_ASSIGNMENT,
    find: 'return since !== undefined && since <= memberEpoch',
    replace: 'return since !== undefined || memberEpoch >= 0',
  },
  {
    name: 'a member commits as of an epoch before it owned the partition',
    file: MEMBER_ASSIGNMENT,
    find: 'return since !== undefined && since <= memberEpoch',
    replace: 'return since !== undefined',
    scenario: 'member-commits-from-an-earlier-ownership',
  },
  {
    name: 'a partition is given on before its owner has stopped',
    file: MEMBER_ASSIGNMENT,
    find: 'else if (!isFree(topicId, partition)) revoking.set(topicId, partition, epoch)',
    replace: 'else if (isFree(topicId, partition)) revoking.set(topicId, partition, epoch)',
  },
  {
    name: 'members are put out while their session lasts',
    file: 'src/coordinator/group-shard.ts',
    find: 'member.sessionEndsMs = moment.monotonicMs + member.info.sessionTimeoutMs',
    replace: 'member.sessionEndsMs = moment.monotonicMs + member.info.sessionTimeoutMs / 3',
  },
  {
    name: 'a member goes on where it was in partitions that others had since',
    file: 'src/front/groups/member-positions.ts',
    find: 'if (this.#memberEpoch < sinceEpoch) return undefined',
    replace: 'if (sinceEpoch < 0) return undefined',
    scenario: 'member-comes-back-with-a-cursor-of-before',
  },
  {
    name: 'who commits before it delivers does not compare what is committed',
    file: 'src/front/groups/group-poll.ts',
    find: ', expectedOffset: committed.offset }]',
    replace: ' }]',
    scenario: 'two-polls-commit-before-they-deliver',
  },
  {
    name: 'who commits before it delivers goes on where its cursor says',
    file: 'src/front/groups/group-poll.ts',
    find: '{ isNeverBehind: isBefore }',
    replace: '{ isNeverBehind: false }',
    also: {
      file: 'src/front/groups/group-poll.ts',
      find: ', expectedOffset: committed.offset }]',
      replace: ' }]',
    },
  },
  {
    name: 'a place that was named after an election by force counts as one of before',
    file: 'src/core/log-position.ts',
    find: 'if (areKnown && ',
    replace: 'if (!areKnown && ',
    scenario: 'group-has-committed-what-is-given-up',
  },
  {
    name: 'compaction removes records whose key has no later one',
    file: 'src/storage/compaction-pass.ts',
    find: 'if (this.#keys.last(bytes, keyStart, keyEnd) > offset) return false',
    replace: 'if (this.#keys.last(bytes, keyStart, keyEnd) >= offset) return false',
  },
  {
    name: 'compaction counts records that are not committed',
    file: 'src/storage/compaction-plan.ts',
    find: 'const limit = Math.min(log.highWatermark, closedEnd)',
    replace: 'const limit = closedEnd',
    scenario: 'leader-has-records-of-keys-that-are-never-committed',
  },
  {
    name: 'who missed the deletion of a key goes on',
    file: COPY,
    find: 'return purgedEnd > log.compacted.purgedEnd && purgedEnd > log.endOffset',
    replace: 'return purgedEnd < 0',
    scenario: 'replica-misses-the-deletion-of-keys',
  },
]

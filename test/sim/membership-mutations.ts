/** Lines that decide who may lead and who is counted on. */
import type { Mutation } from './mutation.ts'

const ELECTION = 'src/core/election.ts'
const ISR_CHANGES = 'src/replication/isr-changes.ts'
const ADMISSION = 'src/replication/node-admission.ts'
const WRITES = 'src/metadata/partition-writes.ts'

const REGISTRATION = 'test/replication/registration.test.ts'

export const MEMBERSHIP_MUTATIONS: readonly Mutation[] = [
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
    name: 'a node registers over another process',
    file: ADMISSION,
    find: "{ key, target: 'createRevision', equals: 0 },\n        { key: nodeRegistryKey",
    replace: '{ key: nodeRegistryKey',
    test: REGISTRATION,
  },
  {
    name: 'a lease counts from the answer',
    file: 'src/replication/held-lease.ts',
    find: 'this.#renewedMs = sentMs\n',
    replace: 'this.#renewedMs = clock.monotonicMs()\n',
    test: REGISTRATION,
  },
  {
    name: 'a node comes into a metadata store that fell back',
    file: 'src/replication/registration.ts',
    find: 'if (incarnation <= seen) {',
    replace: 'if (incarnation < 0) {',
    test: REGISTRATION,
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
    name: 'the controller compares no incarnation of whom it elects',
    file: WRITES,
    find: 'if (leaderIncarnation !== undefined) {',
    replace: 'if (leaderIncarnation === -1) {',
    test: 'test/metadata/partition-writes.test.ts',
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
    name: 'replicas share racks',
    file: 'src/core/placement.ts',
    find: 'if (newRackOnly && chosen.some(({ rack }) => rack === node.rack)) continue',
    replace: '',
    scenario: 'replicas-on-all-racks',
  },
]

/** Lines that keep what groups have, and where they are. */
import type { Mutation } from './mutation.ts'

const RUNTIME = 'src/coordinator/coordinator-runtime.ts'
const STORAGE_LOG = 'src/coordinator/storage-log.ts'
const GROUP_OFFSETS = 'src/coordinator/group-offsets.ts'
const MEMBER_ASSIGNMENT = 'src/core/member-assignment.ts'

const STORAGE_LOG_TEST = 'test/coordinator/storage-log.test.ts'
const RUNTIME_TEST = 'test/coordinator/coordinator-runtime.test.ts'

export const GROUP_MUTATIONS: readonly Mutation[] = [
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
    test: STORAGE_LOG_TEST,
  },
  {
    name: 'a coordinator writes under whatever epoch',
    file: STORAGE_LOG,
    find: 'const request = { ...this.#at, acks',
    replace: 'const request = { ...this.#at, leaderEpoch: undefined, acks',
    test: STORAGE_LOG_TEST,
  },
  {
    name: 'a coordinator reads its log while something is on its way into it',
    file: RUNTIME,
    find: 'await Promise.all(this.#appends)\n',
    replace: '\n',
    test: RUNTIME_TEST,
  },
  {
    name: 'a coordinator goes on after an append that failed',
    file: RUNTIME,
    find: 'reject(hasRecords ? error : loading())\n    this.#reload()',
    replace: 'reject(hasRecords ? error : loading())',
    test: RUNTIME_TEST,
  },
  {
    name: 'members of another epoch are heeded',
    file: 'src/coordinator/group-decision.ts',
    find: 'if (isCurrentEpoch(assignment, memberEpoch)) return undefined',
    replace: 'if (memberEpoch >= 0) return undefined',
    test: 'test/coordinator/group-shard.test.ts',
  },
  {
    name: 'a coordinator that may have been replaced answers',
    file: RUNTIME,
    find: 'calls.length > 0 && !log.isCertain',
    replace: 'calls.length < 0',
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
    name: 'the epoch of a place falls with the record behind it',
    file: 'src/front/read-positions.ts',
    find: 'Math.max(this.#epochs[index] as number, lastEpoch)',
    replace: 'lastEpoch === -1 ? (this.#epochs[index] as number) : lastEpoch',
    scenario: 'group-goes-on-in-an-older-history',
  },
]

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { GroupId, MemberId } from '../../src/core/group-settings.ts'
import type { TopicId, TopicName } from '../../src/core/ids.ts'
import {
  decodeGroupCalls,
  encodeGroupCalls,
  readGroupReply,
} from '../../src/wire/group-call-codec.ts'
import type { GroupCall, GroupCallKind, GroupCalls } from '../../src/wire/group-calls.ts'
import { encodeGroupFrame, GroupFrameReader } from '../../src/wire/group-frames.ts'
import { MalformedMessage } from '../../src/wire/message.ts'
import { mutated } from './mutated.ts'

const groupId = 'g' as GroupId
const memberId = 'm' as MemberId
const topicId = '0123456789abcdef0123456789abcdef' as TopicId
const topic = 'orders' as TopicName
const place = { topicId, partition: 3 }
const position = { offset: 17, leaderEpoch: -1 }
const member = { groupId, memberId, memberEpoch: 4 }
const owned = { ...place, topic, sinceEpoch: 2, committed: position }

const view = {
  memberId,
  memberEpoch: 4,
  version: 4_000_000_000,
  assigned: [owned],
  revoking: [owned],
  unresolved: [{ ...place, topic, at: 'latest' }],
  heartbeatIntervalMs: 5_000,
  sessionTimeoutMs: 45_000,
  rebalanceTimeoutMs: 60_000,
} as const

const description = {
  groupId,
  state: 'stable',
  groupEpoch: 9,
  from: 'earliest',
  assignor: 'range',
  offsetsRetentionMs: 60_000,
  coordinator: 2,
  members: [
    {
      memberId,
      instanceId: memberId,
      rack: 'x',
      memberEpoch: 4,
      subscription: { pattern: 'a*' },
      sessionTimeoutMs: 1,
      rebalanceTimeoutMs: 2,
      away: false,
      assigned: [{ ...place, topic }],
      revoking: [],
      target: [],
    },
  ],
} as const

const outcomes = [
  { ...place, ok: true },
  { ...place, ok: false, code: 'partition-not-owned', detail: 'no', committed: 'no' },
] as const

const CALLS: { readonly [K in GroupCallKind]: GroupCalls[K] } = {
  join: {
    command: {
      groupId,
      memberId,
      instanceId: memberId,
      subscription: { topics: [topic] },
      from: 'latest',
      sessionTimeoutMs: 1_000,
      rebalanceTimeoutMs: 1_000,
      rack: 'x',
      assignor: 'sticky',
    },
    reply: { ...view, created: true },
  },
  heartbeat: { command: { ...member, owned: [place] }, reply: view },
  release: { command: { ...member, owned: [] }, reply: view },
  leave: { command: { groupId, memberId, memberEpoch: 1, keepInstance: true }, reply: null },
  view: { command: { ...member, renew: true }, reply: view },
  awaitChange: { command: { ...member, version: 4_000_000_000, waitMs: 5 }, reply: view },
  startAt: { command: { groupId, starts: [{ ...place, ...position }] }, reply: null },
  commit: {
    command: {
      ...member,
      offsets: [{ ...place, ...position, metadata: 'ä', expectedOffset: 0 }],
    },
    reply: outcomes,
  },
  reset: { command: { groupId, offsets: [{ ...place, ...position }] }, reply: outcomes },
  offsets: {
    command: { groupId },
    reply: [{ ...place, ...position, topic, metadata: 'x', committedAtMs: 5 }],
  },
  describe: { command: { groupId }, reply: description },
  list: {
    command: { after: '', limit: 5 },
    reply: { groups: [{ groupId, state: 'empty', members: 0 }], more: true },
  },
  change: {
    command: { groupId, settings: { offsetsRetentionMs: 60_000 } },
    reply: { ...description, members: [] },
  },
  remove: { command: { groupId }, reply: null },
}

const KINDS = Object.keys(CALLS) as GroupCallKind[]

test.each(KINDS)('%s arrives as it was sent, and so does its answer', (kind) => {
  const { command, reply } = CALLS[kind]
  const message = { partition: 7, call: { kind, command } as GroupCall }
  expect(decodeGroupCalls(encodeGroupCalls([message, message]))).toEqual([message, message])
  const frame = { index: 3, result: { reply } }
  const bytes = encodeGroupFrame(frame)
  const reader = new GroupFrameReader()
  const frames = [bytes.subarray(0, 5), bytes.subarray(5), bytes].flatMap((part) =>
    reader.push(part),
  )
  expect(frames).toEqual([frame, frame])
  expect(readGroupReply(kind, reply)).toEqual(reply)
})

test.each(KINDS)('%s that was damaged is refused, or is another one that is valid', (kind) => {
  const { command, reply } = CALLS[kind]
  const call = encodeGroupCalls([{ partition: 7, call: { kind, command } as GroupCall }])
  let refused = 0
  for (const bytes of damaged(call)) refused += isRefused(() => decodeGroupCalls(bytes))
  for (const bytes of damaged(encodeGroupFrame({ index: 0, result: { reply } }))) {
    refused += isRefused(() => {
      for (const { result } of new GroupFrameReader().push(bytes)) {
        if ('reply' in result) readGroupReply(kind, result.reply)
      }
    })
  }
  expect(refused).toBeGreaterThan(0)
})

function damaged(bytes: Uint8Array): Uint8Array[] {
  return fc.sample(mutated(fc.constant(Buffer.from(bytes).toString())), 200)
}

function isRefused(decode: () => unknown): 0 | 1 {
  try {
    decode()
    return 0
  } catch (error) {
    if (error instanceof MalformedMessage) return 1
    throw error
  }
}

test('a refusal arrives with all that it says', () => {
  const refusal = {
    code: 'group-full',
    detail: 'no',
    committed: 'no',
    members: { limit: 3 },
    retryAfterMs: 5,
  } as const
  const frame = { index: 0, result: { refusal } }
  expect(new GroupFrameReader().push(encodeGroupFrame(frame))).toEqual([frame])
})

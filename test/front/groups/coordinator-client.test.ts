import { beforeEach, describe, expect, test } from 'vitest'
import type { GroupId, MemberId } from '../../../src/core/group-settings.ts'
import type { TopicName } from '../../../src/core/ids.ts'
import { OFFSETS_TOPIC, partitionOfGroup } from '../../../src/core/internal-topics.ts'
import { CoordinatorClient } from '../../../src/front/groups/coordinator-client.ts'
import type { ErrorCode } from '../../../src/lib/service-error.ts'
import { ServiceError } from '../../../src/lib/service-error.ts'
import type {
  GroupCall,
  GroupCallKind,
  GroupCoordinators,
  GroupReply,
} from '../../../src/wire/group-calls.ts'
import { SimClock } from '../../sim/sim-clock.ts'
import { FakeMetadata, topicImage } from '../topics.ts'

const groupId = 'g' as GroupId
const memberId = 'm' as MemberId
const NEVER = new AbortController().signal
const TOPIC = topicImage(OFFSETS_TOPIC, 5)
const BEAT = { groupId, memberId, memberEpoch: 1 }
const COMMIT = { ...BEAT, offsets: [] }
const JOIN = {
  groupId,
  memberId,
  subscription: { topics: ['t' as TopicName] },
  from: 'earliest' as const,
  sessionTimeoutMs: 1_000,
  rebalanceTimeoutMs: 1_000,
}

const refusal = (code: ErrorCode) => new ServiceError(code, code)

describe('the client of coordinators', () => {
  let clock: SimClock
  let metadata: FakeMetadata
  let client: CoordinatorClient
  let asked: { partition: number; kind: GroupCallKind; atMs: number }[]
  /** What the next calls end with; the last one again and again. */
  let answers: (GroupReply | ServiceError)[]
  let made: number

  beforeEach(() => {
    clock = new SimClock()
    metadata = new FakeMetadata([TOPIC])
    asked = []
    answers = [null]
    made = 0
    const coordinators: GroupCoordinators = {
      call: async <K extends GroupCallKind>(partition: number, { kind }: GroupCall<K>) => {
        asked.push({ partition, kind, atMs: clock.monotonicMs() })
        const answer = answers.length > 1 ? answers.shift() : answers[0]
        if (answer instanceof ServiceError) throw answer
        return answer as GroupReply<K>
      },
    }
    const topics = {
      ensureInternal: async () => {
        made++
        metadata.set([TOPIC])
        return TOPIC
      },
    }
    client = new CoordinatorClient(
      { clock, metadata, topics, coordinators },
      { partitions: 5, patienceMs: 1_000 },
    )
  })

  const kinds = () => asked.map(({ kind }) => kind)

  test('asks the coordinator of the group', async () => {
    await client.remove(groupId, NEVER)
    expect(asked).toEqual([{ partition: partitionOfGroup(groupId, 5), kind: 'remove', atMs: 0 }])
  })

  test.each<ErrorCode>(['coordinator-loading', 'partition-unavailable', 'draining'])(
    'asks again after %s, as nothing was done',
    async (code) => {
      answers = [refusal(code), refusal(code), []]
      expect(await clock.run(client.commit(COMMIT, NEVER))).toEqual([])
      expect(asked.map(({ atMs }) => atMs)).toEqual([0, 100, 200])
    },
  )

  test('asks again as soon as the metadata are other ones', async () => {
    answers = [refusal('partition-unavailable'), null]
    const asking = client.remove(groupId, NEVER)
    clock.timer(30, () => metadata.set([TOPIC]))
    await clock.run(asking)
    expect(asked.map(({ atMs }) => atMs)).toEqual([0, 30])
  })

  test('tells what it was told last when its patience is over', async () => {
    answers = [refusal('coordinator-loading')]
    await expect(clock.run(client.commit(COMMIT, NEVER))).rejects.toMatchObject({
      code: 'coordinator-loading',
    })
    expect(clock.monotonicMs()).toBe(1_000)
  })

  test('what may have been done is tried again only where twice is once', async () => {
    answers = [refusal('outcome-unknown'), null]
    await expect(clock.run(client.commit(COMMIT, NEVER))).rejects.toMatchObject({
      code: 'outcome-unknown',
    })
    answers = [refusal('outcome-unknown'), null]
    await clock.run(client.heartbeat(BEAT, NEVER))
    expect(kinds()).toEqual(['commit', 'heartbeat', 'heartbeat'])
  })

  test.each<ErrorCode>(['member-fenced', 'group-not-empty', 'overloaded', 'internal-error'])(
    'takes %s for an answer',
    async (code) => {
      answers = [refusal(code), null]
      await expect(clock.run(client.heartbeat(BEAT, NEVER))).rejects.toMatchObject({ code })
      expect(kinds()).toEqual(['heartbeat'])
    },
  )

  test('does not ask again for a caller that has gone', async () => {
    const gone = new AbortController()
    answers = [refusal('coordinator-loading')]
    const asking = client.commit(COMMIT, gone.signal)
    clock.timer(150, () => gone.abort(new Error('gone')))
    await expect(clock.run(asking)).rejects.toThrow('gone')
    expect(asked).toHaveLength(2)
  })

  test('the first call that makes a group makes the topic, others find no group', async () => {
    metadata.set([])
    await client.leave({ groupId, memberId }, NEVER)
    await expect(client.heartbeat(BEAT, NEVER)).rejects.toMatchObject({ code: 'group-not-found' })
    expect(await client.list('', 10, NEVER)).toEqual({ groups: [], more: false })
    expect([asked.length, made]).toEqual([0, 0])
    await client.join(JOIN, NEVER)
    await client.join(JOIN, NEVER)
    expect([kinds(), made]).toEqual([['join', 'join'], 1])
  })

  test('lists the groups of all coordinators by name, and says whether there are more', async () => {
    const page = (...ids: string[]) => ({
      groups: ids.map((id) => ({ groupId: id as GroupId, state: 'empty' as const, members: 0 })),
      more: false,
    })
    answers = [page('b', 'e'), page(), page('a'), page('d'), page('c')]
    const { groups, more } = await client.list('', 3, NEVER)
    expect([groups.map((group) => group.groupId), more]).toEqual([['a', 'b', 'c'], true])
    expect(asked.map(({ partition }) => partition)).toEqual([0, 1, 2, 3, 4])
    answers = [page('b'), { ...page('a'), more: true }, page(), page(), page()]
    expect((await client.list('', 3, NEVER)).more).toBe(true)
    answers = [page('b'), page('a'), page(), page(), page()]
    expect((await client.list('', 3, NEVER)).more).toBe(false)
  })
})

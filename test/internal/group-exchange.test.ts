/** Calls to the coordinators of a node: each settles once, as its result comes, and with the truth. */
import { beforeEach, describe, expect, test, vi } from 'vitest'
import type { GroupId, MemberId } from '../../src/core/group-settings.ts'
import { TransportError } from '../../src/env/transport.ts'
import { registerGroupEndpoint } from '../../src/internal/group-endpoint.ts'
import type { GroupCallResults } from '../../src/internal/group-exchange.ts'
import type { OutgoingAnswer } from '../../src/internal/internal-handler.ts'
import { StorageClient } from '../../src/internal/storage-client.ts'
import { ServiceError } from '../../src/lib/service-error.ts'
import type { GroupCallMessage } from '../../src/wire/group-call-codec.ts'
import type { GroupCall, GroupCallKind, GroupReply } from '../../src/wire/group-calls.ts'
import { SimClock } from '../sim/sim-clock.ts'
import { DirectCluster } from './direct-cluster.ts'

const groupId = 'g' as GroupId
const memberId = 'm' as MemberId
const REMOVE = { kind: 'remove', command: { groupId } } as const
const COMMIT = { kind: 'commit', command: { groupId, offsets: [] } } as const
const LEAVE = { kind: 'leave', command: { groupId, memberId } } as const

let clock: SimClock
let cluster: DirectCluster
/** By partition, settled by the test. */
let answers: Map<number, PromiseWithResolvers<GroupReply>>

beforeEach(() => {
  clock = new SimClock()
  cluster = new DirectCluster({ clock })
  answers = new Map()
  registerGroupEndpoint(cluster.service, {
    call: <K extends GroupCallKind>(partition: number) => {
      const answer = Promise.withResolvers<GroupReply>()
      answers.set(partition, answer)
      return answer.promise as Promise<GroupReply<K>>
    },
  })
})

function send(...calls: GroupCall[]): GroupCallResults {
  const messages = calls.map((call, partition): GroupCallMessage => ({ partition, call }))
  const client = new StorageClient(cluster.client, cluster.target)
  const signal = new AbortController().signal
  return client.groupCalls(messages, { deadlineMs: 1_000, signal, isParked: false })
}

/** The node has so many calls. */
async function arrived(calls: number): Promise<void> {
  while (answers.size < calls) await clock.runFor(1)
}

/** What became of each, in short. */
async function outcomes({ results }: GroupCallResults): Promise<unknown[]> {
  const settled = await clock.run(Promise.allSettled(results))
  return settled.map((one) =>
    one.status === 'fulfilled' ? one.value : (one.reason as ServiceError).code,
  )
}

describe('calls to coordinators', () => {
  test('settle one by one, in any order', async () => {
    const sent = send(REMOVE, COMMIT, LEAVE)
    await arrived(3)
    answers.get(1)?.resolve([])
    expect(await clock.run(sent.results[1] as Promise<GroupReply>)).toEqual([])
    answers.get(0)?.reject(new ServiceError('group-not-empty', 'It is not.'))
    await expect(clock.run(sent.results[0] as Promise<GroupReply>)).rejects.toMatchObject({
      code: 'group-not-empty',
      message: 'It is not.',
    })
    answers.get(2)?.resolve(null)
    expect(await clock.run(sent.results[2] as Promise<GroupReply>)).toBe(null)
  })

  test.each([
    ['one by one are streamed', [0], false],
    ['at once come whole', [0, 1], true],
  ])('that are answered %s', async (_, first, isWhole) => {
    const handle = vi.spyOn(cluster.service, 'handle')
    const sent = send(REMOVE, LEAVE)
    await arrived(2)
    for (const partition of first) answers.get(partition)?.resolve(null)
    const { body } = await clock.run(handle.mock.results[0]?.value as Promise<OutgoingAnswer>)
    expect(Array.isArray(body)).toBe(isWhole)
    answers.get(1)?.resolve(null)
    expect(await outcomes(sent)).toEqual([null, null])
  })

  test('what the node did not foresee is told as that, and concerns nobody else', async () => {
    const sent = send(REMOVE, LEAVE)
    await arrived(2)
    answers.get(0)?.reject(new Error('a fault'))
    answers.get(1)?.resolve(null)
    expect(await outcomes(sent)).toEqual(['internal-error', null])
  })

  test('that were certainly not sent were not done', async () => {
    cluster.failure = new TransportError('refused', false)
    const sent = send(COMMIT, LEAVE)
    expect(await outcomes(sent)).toEqual(['partition-unavailable', 'partition-unavailable'])
  })

  test('that may have arrived may have been done, which matters where twice is not once', async () => {
    cluster.failure = new TransportError('reset', true)
    expect(await outcomes(send(COMMIT, LEAVE))).toEqual([
      'outcome-unknown',
      'partition-unavailable',
    ])
  })

  test('whose answer breaks off keep the results that have come', async () => {
    cluster.onAnswer = async function* (body) {
      for await (const piece of body) {
        yield piece
        throw new TransportError('reset', true)
      }
    }
    const sent = send(REMOVE, COMMIT, LEAVE)
    await arrived(3)
    answers.get(0)?.resolve(null)
    expect(await outcomes(sent)).toEqual([null, 'outcome-unknown', 'partition-unavailable'])
  })

  test.each([
    ['is no result', 'nonsense\n'],
    ['belongs to no call', '{"index":7,"reply":null}\n'],
    ['is no answer to its call', '{"index":0,"reply":{"ok":1}}\n'],
    ['ends too early', '{"index":0,"reply":nu'],
  ])('whose answer %s are as uncertain', async (_, text) => {
    cluster.onAnswer = async function* () {
      yield Buffer.from(text)
    }
    const sent = send(COMMIT, LEAVE)
    await arrived(2)
    answers.get(1)?.resolve(null)
    expect(await outcomes(sent)).toEqual(['outcome-unknown', 'partition-unavailable'])
    expect(clock.monotonicMs()).toBeLessThan(1_000)
  })

  test('a second result for the same call is none', async () => {
    cluster.onAnswer = async function* () {
      yield Buffer.from('{"index":0,"reply":null}\n{"index":0,"reply":null}\n')
    }
    const sent = send(REMOVE, COMMIT)
    await arrived(2)
    answers.get(0)?.resolve(null)
    expect(await outcomes(sent)).toEqual([null, 'outcome-unknown'])
    expect(clock.monotonicMs()).toBeLessThan(1_000)
  })
})

import { expect, test } from 'vitest'
import type { TopicId } from '../../src/core/ids.ts'
import { AppendLink } from '../../src/front/append-link.ts'
import type { AppendCalls, WaitOptions } from '../../src/internal/storage-client.ts'
import type { Appended, AppendRequest, Refusal } from '../../src/wire/internal.ts'
import { SimClock } from '../sim/sim-clock.ts'

type Result = Appended | Refusal

/** A call as the node has it: the test says when its requests have their offsets, and what becomes of them. */
class Call {
  readonly requests: readonly AppendRequest[]
  readonly options: WaitOptions
  readonly #admitted = Promise.withResolvers<void>()
  readonly #results: PromiseWithResolvers<Result>[]

  constructor(requests: readonly AppendRequest[], options: WaitOptions) {
    this.requests = requests
    this.options = options
    this.#results = requests.map(() => Promise.withResolvers<Result>())
  }

  get answer(): AppendCalls {
    return {
      results: this.#results.map(({ promise }) => promise),
      admitted: this.#admitted.promise,
    }
  }

  get partitions(): number[] {
    return this.requests.map(({ partition }) => partition)
  }

  admit(): void {
    this.#admitted.resolve()
  }

  settle(index: number, baseOffset: number): void {
    this.#results[index]?.resolve({ ok: true, baseOffset, appendTimeMs: -1 })
  }
}

function linked() {
  const calls: Call[] = []
  const settled: [number, number][] = []
  const signal = new AbortController().signal
  const append = (requests: readonly AppendRequest[], options: WaitOptions) => {
    const call = new Call(requests, options)
    calls.push(call)
    return call.answer
  }
  const link = new AppendLink({ clock: new SimClock(), signal, append })
  const send = (partition: number, { sizeBytes = 10, deadlineMs = 1_000 } = {}) => {
    link.send({
      request: { topicId: 't' as TopicId, partition, acks: -1, batch: new Uint8Array(sizeBytes) },
      deadlineMs,
      settle: (result) => settled.push([partition, result.ok ? result.baseOffset : -1]),
    })
  }
  return { calls, settled, send }
}

/** What one turn brings goes at its end. */
const turn = async () => {
  for (let i = 0; i < 5; i++) await Promise.resolve()
}

test('all of one turn goes in one call, in order of arrival', async () => {
  const { calls, send } = linked()
  for (const partition of [3, 1, 2]) send(partition)
  await turn()
  expect(calls.map(({ partitions }) => partitions)).toEqual([[3, 1, 2]])
})

test('what arrives while calls are on their way is the next one, as soon as one has its offsets', async () => {
  const { calls, send } = linked()
  for (const partition of [1, 2, 3, 4]) {
    send(partition)
    await turn()
  }
  expect(calls.map(({ partitions }) => partitions)).toEqual([[1], [2]])
  calls[0]?.admit()
  await turn()
  expect(calls.map(({ partitions }) => partitions)).toEqual([[1], [2], [3, 4]])
})

test('results come one by one, whatever the others wait for', async () => {
  const { calls, send, settled } = linked()
  for (const partition of [1, 2]) send(partition)
  await turn()
  calls[0]?.settle(1, 7)
  await turn()
  expect(settled).toEqual([[2, 7]])
  calls[0]?.admit()
  send(3)
  await turn()
  calls[1]?.settle(0, 9)
  await turn()
  expect(settled).toEqual([
    [2, 7],
    [3, 9],
  ])
})

test('a call carries so much and no more, but a large batch all the same', async () => {
  const { calls, send } = linked()
  const mib = 1024 * 1024
  for (const [partition, sizeBytes] of [
    [1, 5 * mib],
    [2, 3 * mib],
    [3, 9 * mib],
    [4, 1],
  ] as const) {
    send(partition, { sizeBytes })
  }
  await turn()
  for (const call of calls) call.admit()
  await turn()
  expect(calls.map(({ partitions }) => partitions)).toEqual([[1, 2], [3], [4]])
})

test('a call lasts as long as the most patient of its requests', async () => {
  const { calls, send } = linked()
  send(1, { deadlineMs: 500 })
  send(2, { deadlineMs: 900 })
  await turn()
  expect(calls[0]?.options.deadlineMs).toBe(900)
})

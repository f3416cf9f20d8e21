/** Waits at several leaders: the first news ends them for the caller, and the next caller takes over the rest. */
import { describe, expect, test } from 'vitest'
import type { TopicId } from '../../src/core/ids.ts'
import { StandingFetches } from '../../src/front/standing-fetches.ts'
import type { FetchRequest, FetchResult } from '../../src/wire/internal.ts'
import { SimClock } from '../sim/sim-clock.ts'

const TOPIC = 'a'.repeat(32) as TopicId
const NEVER = new AbortController().signal

interface Call {
  readonly node: string
  readonly signal: AbortSignal
  readonly answer: (results: FetchResult[]) => void
}

function setUp() {
  const clock = new SimClock({ immediates: 'microtask' })
  const calls: Call[] = []
  const nodes = { a: { name: 'a' }, b: { name: 'b' } }
  const standing = new StandingFetches<{ name: string }>({
    clock,
    signal: NEVER,
    fetch: (node, _request, signal) =>
      new Promise((resolve, reject) => {
        calls.push({ node: node.name, signal, answer: resolve })
        signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      }),
  })
  const ask = (offsets: { a: number; b: number }, signal = NEVER, waitMs = 5_000) => {
    const position = (partition: number, offset: number) => [
      { topicId: TOPIC, partition, offset, lastEpoch: -1 },
    ]
    const groups = new Map([
      [nodes.a, position(0, offsets.a)],
      [nodes.b, position(1, offsets.b)],
    ])
    const request: FetchRequest = {
      positions: [],
      maxBytes: 1_000,
      waitMs,
      isolation: 'committed',
    }
    return standing.first(groups, request, signal)
  }
  return { clock, calls, ask, of: (node: string) => calls.filter((call) => call.node === node) }
}

function news(partition: number): FetchResult[] {
  return [
    {
      ok: true,
      topicId: TOPIC,
      partition,
      batches: [],
      nextOffset: 1,
      highWatermark: 1,
      logStartOffset: 0,
    },
  ]
}

describe('StandingFetches', () => {
  test('the first that has something ends the wait, and the other is taken over by the next', async () => {
    const { calls, ask, of } = setUp()
    const first = ask({ a: 0, b: 0 })
    expect(calls.map(({ node }) => node)).toEqual(['a', 'b'])
    of('a')[0]?.answer(news(0))
    expect(await first).toEqual(news(0))
    const second = ask({ a: 1, b: 0 })
    expect(calls.map(({ node }) => node)).toEqual(['a', 'b', 'a'])
    of('b')[0]?.answer(news(1))
    expect(await second).toEqual(news(1))
  })

  test('what came between two requests is there at once for the second', async () => {
    const { ask, of } = setUp()
    const first = ask({ a: 0, b: 0 })
    of('a')[0]?.answer(news(0))
    await first
    of('b')[0]?.answer(news(1))
    expect(await ask({ a: 1, b: 0 })).toEqual(news(1))
  })

  test('a wait that nobody takes over is given up', async () => {
    const { clock, ask, of } = setUp()
    const first = ask({ a: 0, b: 0 })
    of('a')[0]?.answer(news(0))
    await first
    expect(of('b')[0]?.signal.aborted).toBe(false)
    await clock.runFor(1_000)
    expect(of('b')[0]?.signal.aborted).toBe(true)
  })

  test('other places are another wait', async () => {
    const { ask, of } = setUp()
    const first = ask({ a: 0, b: 0 })
    of('a')[0]?.answer(news(0))
    await first
    void ask({ a: 1, b: 7 })
    expect(of('b')).toHaveLength(2)
  })

  test('a node whose time is up first is asked again while somebody waits', async () => {
    const { clock, ask, of } = setUp()
    const first = ask({ a: 0, b: 0 })
    of('a')[0]?.answer([])
    await clock.runFor(0)
    expect(of('a')).toHaveLength(2)
    of('a')[1]?.answer(news(0))
    expect(await first).toEqual(news(0))
  })

  test('time that is up gives nothing, a caller that goes away rejects', async () => {
    const { clock, ask } = setUp()
    const timed = ask({ a: 0, b: 0 })
    await clock.runFor(5_000)
    expect(await timed).toEqual([])
    const controller = new AbortController()
    const aborted = ask({ a: 0, b: 0 }, controller.signal)
    controller.abort(new Error('gone'))
    await expect(aborted).rejects.toThrow('gone')
  })
})

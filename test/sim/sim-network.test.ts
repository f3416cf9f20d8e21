import { expect, test } from 'vitest'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import type { Transport } from '../../src/env/transport.ts'
import { TransportError } from '../../src/env/transport.ts'
import { SimClock } from './sim-clock.ts'
import { SimNetwork } from './sim-network.ts'
import { SimNodeClock } from './sim-node-clock.ts'

const NEVER = new AbortController().signal

class Pair {
  readonly clock = new SimClock()
  readonly network: SimNetwork
  readonly transport: Transport
  readonly a = { name: 'a', clock: new SimNodeClock(this.clock) }
  b = { name: 'b', clock: new SimNodeClock(this.clock) }
  /** What the peer has seen. */
  readonly seen: string[] = []
  /** Chunks of each answer; the last one waits for it. */
  answer: string[] = ['an', 'swer']
  broken = 0

  constructor(seed = 1) {
    this.network = new SimNetwork({ clock: this.clock, random: new SeededRandom(seed) })
    this.transport = this.network.transport(this.a)
    this.listen()
  }

  listen(): void {
    this.network.listen(this.b, {
      handle: async ({ body, signal }) => {
        signal.addEventListener('abort', () => this.broken++)
        this.seen.push(await text(body))
        const { answer } = this
        const chunks = async function* () {
          for (const chunk of answer) yield Buffer.from(chunk)
        }
        return { status: 200, headers: { x: '1' }, body: chunks() }
      },
    })
  }

  async call(body = 'hello', signal = NEVER): Promise<string> {
    const parts = [Buffer.from(body.slice(0, 2)), Buffer.from(body.slice(2))]
    const call = { path: '/p', headers: {}, body: parts }
    const answer = await this.transport.call('http://b:7000', call, 'control', signal)
    return await text(answer.body)
  }
}

async function text(body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<string> {
  return Buffer.concat(await Array.fromAsync(body)).toString()
}

async function outcomeOf(call: Promise<string>): Promise<string> {
  try {
    return await call
  } catch (error) {
    return error instanceof TransportError ? `${error.message}, sent: ${error.sent}` : `${error}`
  }
}

test('a call and its answer arrive whole, whatever the pieces', async () => {
  const pair = new Pair()
  for (let i = 0; i < 50; i++) expect(await pair.clock.run(pair.call(`hello ${i}`))).toBe('answer')
  expect(pair.seen).toEqual(Array.from({ length: 50 }, (_, i) => `hello ${i}`))
})

test('nobody listens: certainly not sent', async () => {
  const pair = new Pair()
  pair.network.ended(pair.b, false)
  expect(await pair.clock.run(outcomeOf(pair.call()))).toBe('b: connection refused, sent: false')
})

test('a new connection over a blocked link: not sent, after a while', async () => {
  const pair = new Pair()
  pair.network.block('b', 'a')
  expect(await pair.clock.run(outcomeOf(pair.call()))).toBe('b: connect timeout, sent: false')
  expect(pair.seen).toEqual([])
})

test('what a blocked link held back arrives when it is open again', async () => {
  const pair = new Pair()
  await pair.clock.run(pair.call('warm'))
  pair.network.partition(['a'], ['b'])
  const call = pair.call('held')
  await pair.clock.runFor(60_000)
  expect(pair.seen).toEqual(['warm'])
  pair.network.heal()
  expect(await pair.clock.run(call)).toBe('answer')
  expect(pair.seen).toEqual(['warm', 'held'])
})

test('one way blocked: the peer acts, the caller hears nothing until it gives up', async () => {
  const pair = new Pair()
  await pair.clock.run(pair.call('warm'))
  pair.network.block('b', 'a')
  const stop = new AbortController()
  const outcome = outcomeOf(pair.call('one way', stop.signal))
  await pair.clock.runFor(1_000)
  expect(pair.seen).toEqual(['warm', 'one way'])
  stop.abort()
  expect(await pair.clock.run(outcome)).toBe('b: the call was given up, sent: true')
})

test('the peer dies while it answers: the caller learns that the call was sent', async () => {
  const pair = new Pair()
  await pair.clock.run(pair.call('warm'))
  pair.b.clock.pause()
  const outcome = outcomeOf(pair.call())
  await pair.clock.runFor(100)
  pair.b.clock.end()
  pair.network.ended(pair.b, false)
  expect(await pair.clock.run(outcome)).toBe('b: connection reset, sent: true')
})

test('cuts leave at most one effect, and say so where nothing was sent', async () => {
  const kinds = new Set<string>()
  for (let seed = 0; seed < 60; seed++) {
    const pair = new Pair(seed)
    pair.network.faults.cutShare = 1
    const outcome = await pair.clock.run(outcomeOf(pair.call()))
    kinds.add(`${outcome} seen: ${pair.seen.length}`)
    expect(pair.seen.length === 1 && outcome.includes('sent: false')).toBe(false)
    expect(pair.seen.length).toBeLessThanOrEqual(1)
  }
  expect(kinds).toEqual(
    new Set(['b: connection reset, sent: true seen: 0', 'b: connection reset, sent: true seen: 1']),
  )
})

test('a long answer is not read ahead without end', async () => {
  const pair = new Pair()
  let made = 0
  pair.network.listen(pair.b, {
    handle: async () => ({
      status: 200,
      headers: {},
      body: (async function* () {
        for (; made < 1_000; made++) yield Buffer.from('x')
      })(),
    }),
  })
  const answer = await pair.clock.run(
    pair.transport.call('http://b:7000', { path: '/', headers: {}, body: [] }, 'fetch', NEVER),
  )
  await pair.clock.runFor(1_000)
  expect(made).toBeLessThan(30)
  expect(await pair.clock.run(text(answer.body))).toHaveLength(1_000)
})

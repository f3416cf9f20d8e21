/** Whom a node listens to: everything that is refused is a definite no, and reaches no handler. */
import { beforeEach, describe, expect, test } from 'vitest'
import type { InternalAnswer, InternalCall } from '../../src/env/transport.ts'
import { HEADERS } from '../../src/internal/identity.ts'
import { InternalCallError } from '../../src/internal/internal-call-error.ts'
import type { InternalRequest } from '../../src/internal/internal-handler.ts'
import { ServiceError } from '../../src/lib/service-error.ts'
import { MalformedMessage } from '../../src/wire/message.ts'
import { SimClock } from '../sim/sim-clock.ts'
import type { DirectOptions } from './direct-cluster.ts'
import { DirectCluster } from './direct-cluster.ts'

const PATH = '/i/v1/echo'
const MINUTE = 60_000
const live = new AbortController().signal

let clock: SimClock
let handled: InternalRequest[]

beforeEach(() => {
  clock = new SimClock()
  handled = []
})

function cluster(options: Partial<DirectOptions> = {}): DirectCluster {
  const made = new DirectCluster({ clock, ...options })
  made.service.register(PATH, (request) => {
    handled.push(request)
    return { parts: [request.body] }
  })
  return made
}

async function call(
  { client, target }: DirectCluster,
  options: { path?: string; body?: string; incarnation?: number; inMs?: number } = {},
): Promise<string> {
  const { path = PATH, body = 'hello', incarnation = target.incarnation, inMs = 1000 } = options
  const answer = await client.callWhole({ ...target, incarnation }, path, [Buffer.from(body)], {
    lane: 'control',
    deadlineMs: clock.monotonicMs() + inMs,
    signal: live,
  })
  return String(answer)
}

async function refusalOf(promise: Promise<unknown>): Promise<string | undefined> {
  const error: unknown = await promise.catch((reason: unknown) => reason)
  if (!(error instanceof InternalCallError)) throw new Error('no refusal', { cause: error })
  expect(error).toMatchObject({ reason: 'refused', definitelyNotDone: true })
  return error.refusal
}

test('a call with the right secret is handled, and its sender is known', async () => {
  expect(await call(cluster())).toBe('hello')
  expect(handled).toMatchObject([
    { sender: { nodeId: 1, incarnation: 5 }, deadlineMs: clock.monotonicMs() + 1000 },
  ])
})

describe('the signature', () => {
  test('of another secret is refused', async () => {
    const made = cluster({ callerSignature: { secret: 'guessed' } })
    expect(await refusalOf(call(made))).toBe('bad-signature')
    expect(handled).toEqual([])
  })

  test.each([...Object.values(HEADERS), 'path', 'body'])('covers %s', async (what) => {
    const made = cluster()
    made.service.register('/i/v1/other', () => ({ parts: [] }))
    made.meddle = (sent) => {
      if (what === 'path') return { ...sent, path: '/i/v1/other' }
      if (what === 'body') return { ...sent, body: [Buffer.from('hellu')] }
      const value = sent.headers[what] as string
      const last = value.endsWith('8') ? '9' : '8'
      const headers = { ...sent.headers, [what]: `${value.slice(0, -1)}${last}` }
      return { ...sent, headers }
    }
    const refusal = what === HEADERS.protocol ? 'other-protocol' : 'bad-signature'
    expect(await refusalOf(call(made))).toBe(refusal)
    expect(handled).toEqual([])
  })

  test.each(Object.values(HEADERS))('cannot be left without %s', async (what) => {
    const made = cluster()
    made.meddle = (sent) => {
      const { [what]: _left, ...headers } = sent.headers
      return { ...sent, headers }
    }
    expect(await refusalOf(call(made))).toMatch(/^(bad-signature|other-protocol)$/)
  })

  test('does not last, either way', async () => {
    for (const byMs of [-6 * MINUTE, 6 * MINUTE]) {
      const made = cluster()
      made.meddle = (sent) => {
        clock.jumpWallClock(byMs)
        return sent
      }
      expect(await refusalOf(call(made))).toBe('stale-call')
    }
    const made = cluster()
    made.meddle = (sent) => {
      clock.jumpWallClock(4 * MINUTE)
      return sent
    }
    expect(await call(made)).toBe('hello')
  })

  test('counts once', async () => {
    const made = cluster()
    await call(made)
    const again = await made.deliver(made.calls[0] as InternalCall, live)
    expect(again.status).toBe(401)
    expect(await textOf(again.body)).toContain('replayed-call')
    expect(handled).toHaveLength(1)
  })

  test('may leave bodies out where all nodes agree on that', async () => {
    const without = { signBodies: false }
    expect(await call(cluster({ callerSignature: without, nodeSignature: without }))).toBe('hello')
    expect(await refusalOf(call(cluster({ callerSignature: without })))).toBe('bad-signature')
    expect(await refusalOf(call(cluster({ nodeSignature: without })))).toBe('bad-signature')
  })
})

describe('the one who is meant', () => {
  test('must be of the same cluster', async () => {
    const made = cluster({ caller: { clusterId: 'another' } })
    expect(await refusalOf(call(made))).toBe('other-cluster')
  })

  test('must be this incarnation', async () => {
    expect(await refusalOf(call(cluster(), { incarnation: 6 }))).toBe('other-incarnation')
  })

  test('may be left open by bootstrap calls only', async () => {
    const made = cluster({ caller: { clusterId: undefined, nodeId: 'front', incarnation: 0 } })
    expect(await refusalOf(call(made, { incarnation: 0 }))).toBe('other-cluster')
    const known = cluster()
    expect(await refusalOf(call(known, { incarnation: 0 }))).toBe('other-incarnation')
    made.service.register(
      '/i/v1/metadata',
      ({ sender }) => {
        return { parts: [Buffer.from(JSON.stringify(sender))] }
      },
      { bootstrap: true },
    )
    const answer = await call(made, { path: '/i/v1/metadata', incarnation: 0 })
    expect(JSON.parse(answer)).toEqual({ nodeId: 'front', incarnation: 0 })
    expect(await refusalOf(call(made, { path: '/i/v1/metadata', incarnation: 6 }))).toBe(
      'other-incarnation',
    )
  })

  test('must serve the path', async () => {
    expect(await refusalOf(call(cluster(), { path: '/i/v1/nowhere' }))).toBe('unknown-path')
  })
})

describe('the deadline', () => {
  test('that has passed before sending sends nothing', async () => {
    const made = cluster()
    const error: unknown = await call(made, { inMs: 0 }).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ reason: 'deadline', definitelyNotDone: true })
    expect(made.calls).toEqual([])
  })

  test('that passes while the body comes is a definite no', async () => {
    const made = cluster()
    made.meddle = (sent) => {
      const body = (async function* () {
        await clock.runFor(2000)
        yield* sent.body
      })()
      return { ...sent, body: body as unknown as InternalCall['body'] }
    }
    // The caller itself gives up first here; what counts is that the node does not begin.
    await expect(call(made, { inMs: 2000 })).rejects.toMatchObject({ reason: 'deadline' })
    await clock.runUntilIdle()
    expect(handled).toEqual([])
  })

  test('that passes while the answer is awaited leaves the outcome open', async () => {
    const made = cluster()
    made.service.register('/i/v1/slow', () => new Promise(() => undefined))
    const slow = call(made, { path: '/i/v1/slow' }).catch((reason: unknown) => reason)
    expect(await clock.run(slow)).toMatchObject({ reason: 'deadline', definitelyNotDone: false })
  })
})

describe('bounds', () => {
  test('a body beyond its bound is refused', async () => {
    const made = cluster({ service: { maxBodyBytes: 5 } })
    expect(await call(made, { body: '12345' })).toBe('12345')
    expect(await refusalOf(call(made, { body: '123456' }))).toBe('call-too-large')
  })

  test('bodies of all calls share a bound, and give back what they took', async () => {
    const made = cluster({ service: { maxHeldBytes: 20_000 } })
    const go = Promise.withResolvers<void>()
    made.service.register('/i/v1/held', async () => {
      await go.promise
      return { parts: [] }
    })
    const body = 'x'.repeat(18_000)
    const held = call(made, { path: '/i/v1/held', body })
    await expect(call(made, { body })).rejects.toMatchObject({ code: 'overloaded' })
    go.resolve()
    await held
    expect(await call(made, { body })).toBe(body)
    expect(made.service.underWay).toBe(0)
  })

  test('a node that drains finishes what is under way and takes nothing new', async () => {
    const made = cluster()
    const go = Promise.withResolvers<void>()
    made.service.register('/i/v1/held', async () => {
      await go.promise
      return { parts: [Buffer.from('done')] }
    })
    const held = call(made, { path: '/i/v1/held' })
    made.service.drain()
    await expect(call(made)).rejects.toMatchObject({ code: 'draining', committed: 'no' })
    go.resolve()
    expect(await held).toBe('done')
  })
})

describe('errors of handlers', () => {
  test('arrive as they were', async () => {
    const made = cluster()
    const error = new ServiceError('offset-out-of-range', 'The log ends at 4.', {
      members: { tail: 4, leader: 'two' },
      committed: 'unknown',
      retryAfterMs: 50,
    })
    made.service.register('/i/v1/fails', () => {
      throw error
    })
    await expect(call(made, { path: '/i/v1/fails' })).rejects.toEqual(error)
  })

  test('that are surprises leave the outcome open', async () => {
    const made = cluster()
    made.service.register('/i/v1/fails', () => {
      throw new TypeError('secret detail')
    })
    const error: unknown = await call(made, { path: '/i/v1/fails' }).catch((reason) => reason)
    expect(error).toMatchObject({ code: 'internal-error', committed: 'unknown' })
    expect(String(error)).not.toContain('secret')
  })

  test('about a body that cannot be read are refusals', async () => {
    const made = cluster()
    made.service.register('/i/v1/fails', () => {
      throw new MalformedMessage('nonsense')
    })
    expect(await refusalOf(call(made, { path: '/i/v1/fails' }))).toBe('malformed-call')
  })
})

async function textOf(body: InternalAnswer['body']): Promise<string> {
  let text = ''
  for await (const chunk of body) text += String(Buffer.from(chunk))
  return text
}

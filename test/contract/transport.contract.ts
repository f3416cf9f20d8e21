/** What every transport between nodes must do, over real sockets or simulated ones. */
import { afterEach, describe, expect, test } from 'vitest'
import type { InternalAnswer, InternalCall, Transport } from '../../src/env/transport.ts'
import { TransportError } from '../../src/env/transport.ts'
import type { IncomingCall, OutgoingAnswer } from '../../src/internal/internal-handler.ts'

export interface TransportHarness {
  readonly transport: Transport
  /** Where `handle` is served. */
  readonly url: string
  /** Where nobody is. */
  readonly deadUrl: string
  /** Awaits, and lets time pass where it does not by itself. */
  run<T>(promise: Promise<T>): Promise<T>
  close(): Promise<void>
}

export type Handle = (call: IncomingCall) => Promise<OutgoingAnswer>

const CHUNK_BYTES = 64 * 1024
const ENDLESS_CHUNKS = 1024

export function describeTransport(
  name: string,
  open: (handle: Handle) => Promise<TransportHarness>,
): void {
  describe(`transport: ${name}`, () => {
    let harness: TransportHarness | undefined

    afterEach(async () => {
      await harness?.run(harness.close())
      harness = undefined
    })

    async function serve(handle: Handle) {
      harness = await open(handle)
      const { transport, url } = harness
      const run = harness.run.bind(harness)
      return { ...harness, transport, url, run, call: callerOf(transport, url) }
    }

    test('carries path, headers and body there, and status, headers and body back', async () => {
      const calls: { path: string; name: string | undefined; body: Buffer }[] = []
      const { run, call } = await serve(async ({ path, headers, body }) => {
        calls.push({ path, name: headers['curlew-name'], body: await gather(body) })
        return answer(418, [Buffer.from('short '), Buffer.from('and stout')], {
          'curlew-kind': 'teapot',
        })
      })
      const parts = [Buffer.from('one, '), Buffer.alloc(0), Buffer.from('two')]
      const { status, headers, body } = await run(
        call({ path: '/i/v1/some-where', headers: { 'curlew-name': 'x y' }, body: parts }),
      )
      expect({ status, kind: headers['curlew-kind'] }).toEqual({ status: 418, kind: 'teapot' })
      expect(String(await run(gather(body)))).toBe('short and stout')
      expect(calls).toEqual([
        { path: '/i/v1/some-where', name: 'x y', body: Buffer.from('one, two') },
      ])
    })

    test('carries large bodies of many parts in both directions', async () => {
      const { run, call } = await serve(async ({ body }) => answer(200, [await gather(body)]))
      const parts = Array.from({ length: 300 }, (_, i) => Buffer.alloc((i * 131) % 40_000, i))
      const { body } = await run(call({ body: parts }))
      expect((await run(gather(body))).equals(Buffer.concat(parts))).toBe(true)
    })

    test('carries empty bodies', async () => {
      const { run, call } = await serve(async ({ body }) => {
        return answer(200, [Buffer.from(String((await gather(body)).length))])
      })
      const { body } = await run(call({ body: [] }))
      expect(String(await run(gather(body)))).toBe('0')
    })

    test('gives the head of an answer before its body is there, and pieces as they come', async () => {
      const more = Promise.withResolvers<void>()
      const { run, call } = await serve(async () => ({
        status: 200,
        headers: {},
        body: (async function* () {
          yield Buffer.from('first')
          await more.promise
          yield Buffer.from('second')
        })(),
      }))
      const { body } = await run(call())
      const chunks = piecesOf(body)
      expect(String((await run(chunks.next())).value)).toBe('first')
      more.resolve()
      expect(String((await run(chunks.next())).value)).toBe('second')
      expect((await run(chunks.next())).done).toBe(true)
    })

    test('gives every one of many calls its own answer', async () => {
      const { run, call } = await serve(async ({ body }) => answer(200, [await gather(body)]))
      const echoes = Array.from({ length: 200 }, async (_, i) => {
        const { body } = await call({ body: [Buffer.from(`call ${i}`)] })
        return String(await gather(body))
      })
      expect(await run(Promise.all(echoes))).toEqual(
        Array.from({ length: 200 }, (_, i) => `call ${i}`),
      )
    })

    test('says that nothing was sent to where nobody is', async () => {
      const { run, deadUrl, transport } = await serve(async () => answer(200, []))
      const error = await run(failure(callerOf(transport, deadUrl)()))
      expect(error).toMatchObject({ sent: false })
    })

    test('sends nothing for a caller that has gone', async () => {
      let calls = 0
      const { run, call } = await serve(async () => {
        calls++
        return answer(200, [])
      })
      const error = await run(failure(call({}, AbortSignal.abort())))
      expect(error).toMatchObject({ sent: false })
      expect(calls).toBe(0)
    })

    test('ends a call that waits when its caller goes, at both ends', async () => {
      const arrived = Promise.withResolvers<void>()
      const gone = Promise.withResolvers<void>()
      const { run, call } = await serve(({ signal }) => {
        arrived.resolve()
        return new Promise(() => signal.addEventListener('abort', () => gone.resolve()))
      })
      const caller = new AbortController()
      const error = failure(call({}, caller.signal))
      await run(arrived.promise)
      caller.abort()
      expect(await run(error)).toMatchObject({ sent: true })
      await run(gone.promise)
    })

    test('ends an answer that comes when its caller goes, at both ends', async () => {
      const gone = Promise.withResolvers<void>()
      const { run, call } = await serve(async ({ signal }) => {
        signal.addEventListener('abort', () => gone.resolve())
        return endless(signal)
      })
      const caller = new AbortController()
      const { body } = await run(call({}, caller.signal))
      const chunks = piecesOf(body)
      await run(chunks.next())
      caller.abort()
      expect(await run(failure(drain(chunks)))).toMatchObject({ sent: true })
      await run(gone.promise)
    })

    test('ends an answer that is left before its end', async () => {
      const gone = Promise.withResolvers<void>()
      const { run, call } = await serve(async ({ signal }) => {
        signal.addEventListener('abort', () => gone.resolve())
        return endless(signal)
      })
      const { body } = await run(call())
      await run(
        (async () => {
          for await (const chunk of body) if (chunk.length > 0) break
        })(),
      )
      expect(await run(gone.promise.then(() => 'gone'))).toBe('gone')
    })

    test('does not take an answer that breaks off for a whole one', async () => {
      const { run, call } = await serve(async () => ({
        status: 200,
        headers: {},
        body: (async function* () {
          yield Buffer.from('half')
          throw new Error('the other half is lost')
        })(),
      }))
      // What came before may never be seen, if all of it comes at once.
      const whole = call().then(({ body }) => gather(body))
      expect(await run(failure(whole))).toMatchObject({ sent: true })
    })

    test('pulls an answer no faster than it is read', async () => {
      let produced = 0
      const { run, call } = await serve(async ({ path, signal }) => {
        if (path === '/i/v1/turn') return answer(200, [])
        return endless(signal, () => produced++)
      })
      const { body } = await run(call())
      const chunks = piecesOf(body)
      await run(chunks.next())
      // Plenty of time for everything to be sent that would be.
      for (let i = 0; i < 100; i++)
        await run(call({ path: '/i/v1/turn' }).then((it) => gather(it.body)))
      expect(produced).toBeLessThan(ENDLESS_CHUNKS / 2)
      await run(drain(chunks))
      expect(produced).toBe(ENDLESS_CHUNKS)
    })

    test('breaks what is under way when it closes', async () => {
      const arrived = Promise.withResolvers<void>()
      const { run, call, transport } = await serve(() => {
        arrived.resolve()
        return new Promise(() => undefined)
      })
      const error = failure(call())
      await run(arrived.promise)
      await run(transport.close())
      expect(await run(error)).toMatchObject({ sent: true })
      expect(await run(failure(call()))).toMatchObject({ sent: false })
    })
  })
}

function callerOf(transport: Transport, url: string) {
  const live = new AbortController().signal
  return (call: Partial<InternalCall> = {}, signal: AbortSignal = live) =>
    transport.call(url, { path: '/i/v1/echo', headers: {}, body: [], ...call }, 'fetch', signal)
}

function answer(
  status: number,
  body: readonly Uint8Array[],
  headers: Record<string, string> = {},
): OutgoingAnswer {
  let bytes = 0
  for (const part of body) bytes += part.length
  return { status, headers: { ...headers, 'content-length': String(bytes) }, body }
}

/** 64 MiB, more than sockets and buffers on the way hold. */
function endless(signal: AbortSignal, produced: () => void = () => undefined): OutgoingAnswer {
  const chunk = Buffer.alloc(CHUNK_BYTES, 7)
  const body = (async function* () {
    for (let i = 0; i < ENDLESS_CHUNKS && !signal.aborted; i++) {
      produced()
      yield chunk
    }
  })()
  return { status: 200, headers: {}, body }
}

async function gather(body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function* piecesOf(body: InternalAnswer['body']): AsyncGenerator<Uint8Array> {
  yield* body
}

async function drain(chunks: AsyncIterator<Uint8Array>): Promise<void> {
  for (let next = await chunks.next(); next.done !== true; ) next = await chunks.next()
}

async function failure(promise: Promise<unknown>): Promise<TransportError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error instanceof TransportError) return error
  throw new Error('a TransportError was expected', { cause: error })
}

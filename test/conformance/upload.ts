/** Produce with stream=true: an upload without limit, one receipt a chunk. */
import { Readable } from 'node:stream'
import { request } from 'undici'
import { describe, expect, it } from 'vitest'
import { within } from '../support/eventually.ts'
import type { Answer } from '../support/http-client.ts'
import type { Api } from './api.ts'

const NDJSON = { 'content-type': 'application/x-ndjson' }

/** A receipt of an upload, good or bad. */
interface Receipt {
  readonly chunk?: number
  readonly firstLine?: number
  readonly lastLine?: number
  readonly written?: readonly { readonly partition: number; readonly records: number }[]
  readonly error?: { readonly code: string; readonly errors?: readonly { pointer: string }[] }
}

const lines = (from: number, to: number): string => {
  let text = ''
  for (let value = from; value < to; value++) text += `{"value":${value}}\n`
  return text
}

const upload = (
  api: Api,
  topic: string,
  body: string | AsyncIterable<Uint8Array>,
): Promise<Answer> =>
  api.call('POST', `/v1/topics/${topic}/records?stream=true`, { headers: NDJSON, body })

const receipts = (text: string): Receipt[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Receipt)

/** Takes an answer line by line as it comes. */
class LineReader {
  readonly #chunks: AsyncIterator<unknown>
  #text = ''

  constructor(body: AsyncIterable<unknown>) {
    this.#chunks = body[Symbol.asyncIterator]()
  }

  /** The next line without its end; empty when there is none. */
  async line(): Promise<string> {
    while (!this.#text.includes('\n')) {
      const chunk = await this.#chunks.next()
      if (chunk.done === true) return this.#text
      this.#text += String(chunk.value)
    }
    const end = this.#text.indexOf('\n')
    const line = this.#text.slice(0, end)
    this.#text = this.#text.slice(end + 1)
    return line
  }
}

export function describeUpload(api: Api): void {
  describe('upload', () => {
    describeChunks(api)
    describeFailures(api)
  })
}

function describeChunks(api: Api): void {
  it('answers NDJSON with one receipt a chunk of 1,000 lines, in the order of the upload', async () => {
    const topic = await api.makeTopic('chunks')
    const answer = await upload(api, topic, lines(0, 2_500))
    expect([answer.status, answer.mediaType], answer.text).toEqual([200, 'application/x-ndjson'])
    const chunks = receipts(answer.text)
    expect(chunks).toEqual(
      [0, 1, 2].map((chunk) => ({
        chunk,
        firstLine: chunk * 1_000 + 1,
        lastLine: Math.min(2_500, (chunk + 1) * 1_000),
        written: [{ partition: 0, records: chunk === 2 ? 500 : 1_000, firstOffset: chunk * 1_000 }],
      })),
    )
    const values = (await api.readAll(topic)).map(({ value }) => value)
    expect(values).toEqual(Array.from({ length: 2_500 }, (_, i) => i))
  })

  it('counts blank lines, gives no receipt for them alone, and spreads over partitions', async () => {
    const topic = await api.makeTopic('blank', { partitions: 2 })
    const text = `${'\n'.repeat(1_000)}\n{"value":1,"partition":1}\n\n{"value":2,"partition":0}\n`
    const answer = await upload(api, topic, text)
    const [receipt, ...more] = receipts(answer.text)
    expect(more).toEqual([])
    expect(receipt).toMatchObject({ chunk: 0, lastLine: 1_004 })
    expect(receipt?.written?.map(({ records }) => records)).toEqual([1, 1])
    const broken = receipts((await upload(api, topic, `\n\n{]\n`)).text)
    expect(broken[0]?.error?.errors?.[0]?.pointer).toMatch(/^line 3\b/)
  })

  it('gives receipts with acks=0, too', async () => {
    const topic = await api.makeTopic('acks-0')
    const path = `/v1/topics/${topic}/records?stream=true&acks=0`
    const answer = await api.call('POST', path, { headers: NDJSON, body: lines(0, 10) })
    expect([answer.status, receipts(answer.text).length]).toEqual([200, 1])
    expect((await api.read(topic, '?wait=10')).records.length).toBeGreaterThan(0)
  })

  it('cuts a chunk at 1 MiB', async () => {
    const topic = await api.makeTopic('chunk-bytes')
    const line = `{"value":"${'x'.repeat(300_000)}"}\n`
    const answer = await upload(api, topic, line.repeat(10))
    expect(answer.status, answer.text).toBe(200)
    expect(receipts(answer.text).length).toBeGreaterThanOrEqual(3)
    expect((await api.readAll(topic)).length).toBe(10)
  })

  it('takes more than one request may hold', async () => {
    const topic = await api.makeTopic('unlimited')
    const line = Buffer.from(`{"value":"${'x'.repeat(100_000)}"}\n`)
    const body = async function* (): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < 200; i++) yield line
    }
    const answer = await upload(api, topic, body())
    expect(answer.status, answer.text).toBe(200)
    expect(receipts(answer.text).every(({ error }) => error === undefined)).toBe(true)
    expect((await api.readAll(topic, '?maxBytes=8388608')).length).toBe(200)
  }, 60_000)

  it('sends the receipt of a chunk while the upload is still open, its records readable', async () => {
    const topic = await api.makeTopic('while-open')
    const rest = Promise.withResolvers<void>()
    const body = async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.from(lines(0, 1_000))
      await rest.promise
      yield Buffer.from(lines(1_000, 1_001))
    }
    const answer = await within(
      'the head of the answer',
      20_000,
      request(`${api.baseUrl}/v1/topics/${topic}/records?stream=true`, {
        method: 'POST',
        headers: NDJSON,
        body: Readable.from(body(), { objectMode: false }),
      }),
    )
    expect(answer.statusCode).toBe(200)
    const received = new LineReader(answer.body)
    expect(receipts(await within('the first receipt', 20_000, received.line())).length).toBe(1)
    expect((await api.readAll(topic)).length).toBe(1_000)
    rest.resolve()
    expect(receipts(await within('the second receipt', 20_000, received.line())).length).toBe(1)
    expect((await api.readAll(topic)).length).toBe(1_001)
    expect(await received.line()).toBe('')
  })

  it('takes an empty upload', async () => {
    const topic = await api.makeTopic('nothing')
    const answer = await upload(api, topic, '')
    expect([answer.status, answer.text.trim()]).toEqual([200, ''])
  })
}

function describeFailures(api: Api): void {
  it('ends at the first bad line with an error receipt; earlier chunks stay, its own is not written', async () => {
    const topic = await api.makeTopic('bad-line')
    const text = `${lines(0, 1_500)}{"value":oops}\n${lines(1_501, 4_000)}`
    const answer = await upload(api, topic, text)
    expect(answer.status).toBe(200)
    const chunks = receipts(answer.text)
    expect(chunks.length).toBe(2)
    expect(chunks[0]?.error).toBeUndefined()
    expect(chunks[1]?.error).toMatchObject({ code: 'invalid-record', committed: 'no' })
    expect(chunks[1]?.error?.errors?.[0]?.pointer).toMatch(/^line 1501\b/)
    const values = (await api.readAll(topic)).map(({ value }) => value)
    expect(values).toEqual(Array.from({ length: 1_000 }, (_, i) => i))
  })

  it('is for NDJSON only', async () => {
    const topic = await api.makeTopic('json')
    const path = `/v1/topics/${topic}/records?stream=true`
    const answer = await api.callJson('POST', path, { records: [{ value: 1 }] })
    api.expectProblem(answer, 'unsupported-media-type')
    await api.expectEmpty(topic)
  })

  it('keeps the whole chunks of an upload whose client went away', async () => {
    const topic = await api.makeTopic('gone')
    const abort = new AbortController()
    const body = async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.from(lines(0, 1_000))
      // The rest of a line never comes.
      yield Buffer.from('{"value":')
      await new Promise((resolve) => {
        abort.signal.addEventListener('abort', resolve)
      })
    }
    const sent = request(`${api.baseUrl}/v1/topics/${topic}/records?stream=true`, {
      method: 'POST',
      headers: NDJSON,
      body: Readable.from(body(), { objectMode: false }),
      signal: abort.signal,
    })
    const answer = await within('the head of the answer', 20_000, sent)
    await within('a receipt', 20_000, new LineReader(answer.body).line())
    abort.abort()
    answer.body.on('error', () => undefined)
    const values = (await api.readAll(topic)).map(({ value }) => value)
    expect(values).toEqual(Array.from({ length: 1_000 }, (_, i) => i))
  })
}

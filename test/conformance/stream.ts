/** Following a topic over server-sent events. */
import { describe, expect, it } from 'vitest'
import type { EventStream } from '../support/event-stream.ts'
import type { SseEvent } from '../support/sse-parser.ts'
import type { Api } from './api.ts'
import type { WireRecord } from './shapes.ts'

const record = (event: SseEvent): WireRecord => JSON.parse(event.data) as WireRecord
const values = (events: readonly SseEvent[]): unknown[] =>
  events.map((event) => record(event).value)

export function describeStream(api: Api): void {
  describe('stream', () => {
    describeFrames(api)
    describeResume(api)
    describeControl(api)
    describeRefusals(api)
  })
}

/** Opens a stream, gives it to `use`, closes it. */
async function follow(
  api: Api,
  topic: string,
  query: string,
  use: (stream: EventStream) => Promise<void>,
  headers: Record<string, string> = {},
): Promise<void> {
  const stream = await api.stream(`/v1/topics/${topic}/stream${query}`, { headers })
  try {
    expect(stream.status).toBe(200)
    await use(stream)
  } finally {
    await stream.close()
  }
}

function describeFrames(api: Api): void {
  it('begins with headers for proxies, a retry time and a comment, before any record', async () => {
    const topic = await api.makeTopic('head')
    await follow(api, topic, '', async (stream) => {
      expect(stream.headers['content-type']).toMatch(/^text\/event-stream/)
      expect(stream.headers['cache-control']).toBe('no-cache, no-transform')
      expect(stream.headers['x-accel-buffering']).toBe('no')
      expect(stream.headers['x-content-type-options']).toBe('nosniff')
      await stream.until('retry and comment', (raw) => /^retry:/m.test(raw) && /^:/m.test(raw))
      expect(stream.retryMs).toBeGreaterThan(0)
    })
  })

  it('is not deflated, whatever the client takes', async () => {
    const topic = await api.makeTopic('identity')
    await api.produce(
      topic,
      Array.from({ length: 300 }, () => ({ value: 'aaaaaaaaaaaaaaaa' })),
    )
    const headers = { 'accept-encoding': 'gzip, zstd' }
    await follow(
      api,
      topic,
      '?from=earliest',
      async (stream) => {
        expect(stream.headers['content-encoding']).toBeUndefined()
        expect((await stream.take(300)).length).toBe(300)
      },
      headers,
    )
  })

  it('sends records as unnamed events, `id:` before `data:`, in the shape of a read', async () => {
    const topic = await api.makeTopic('frames')
    await api.produce(topic, [{ key: 'k', value: { a: 1 }, headers: { h: 'x' } }, { value: 2 }])
    const { records } = await api.read(topic)
    await follow(api, topic, '?from=earliest', async (stream) => {
      const events = await stream.take(2)
      expect(events.map(record)).toEqual(records)
      for (const event of events) {
        expect(event.event).toBe('message')
        expect(event.fields).toEqual(['id', 'data'])
      }
    })
  })

  it('keeps the bytes of JSON, with line breaks between tokens as spaces', async () => {
    const topic = await api.makeTopic('bytes')
    const body = '{"n":12345678901234567890,\r\n"x":1e400,\n"y":12.0}'
    await api.publish(topic, body, { headers: { 'content-type': 'application/json' } })
    await follow(api, topic, '?from=earliest', async (stream) => {
      const [event] = await stream.take(1)
      expect(event?.fields).toEqual(['id', 'data'])
      expect(event?.data).toContain('"n":12345678901234567890,')
      expect(event?.data).toContain('"x":1e400,')
      expect(event?.data).toContain('"y":12.0}')
    })
  })

  it('data=value sends the bare value, its lines split at CR, LF and CRLF', async () => {
    const topic = await api.makeTopic('bare')
    const text = 'one\ntwo\rthree\r\nfour\n\n: not a comment\nid: none\n'
    await api.publish(topic, text, { headers: { 'content-type': 'text/plain' } })
    await api.publish(topic, '{"a":1}', { headers: { 'content-type': 'application/json' } })
    await api.publish(topic, Buffer.from([0xff]))
    await api.publish(topic, '', { query: '?key=k&tombstone=true' })
    await follow(api, topic, '?from=earliest&data=value', async (stream) => {
      const [first, second, third, fourth] = await stream.take(4)
      expect(first?.data).toBe(text.replaceAll(/\r\n|\r/g, '\n'))
      expect(second?.data).toBe('{"a":1}')
      expect([third?.data, fourth?.data]).toEqual(['/w==', 'null'])
    })
  })

  it('starts at the tail unless told otherwise', async () => {
    const topic = await api.makeTopic('latest', { partitions: 2 })
    await api.produceNumbers(topic, 5)
    await follow(api, topic, '', async (stream) => {
      await stream.until('the first bytes', (raw) => raw.length > 0)
      await api.produce(topic, [{ value: 'new' }])
      expect(values(await stream.take(1))).toEqual(['new'])
    })
  })

  it('names its place before the first record, so that a reconnect from there misses nothing', async () => {
    const topic = await api.makeTopic('first-id', { partitions: 2 })
    await api.produceNumbers(topic, 5)
    let id = ''
    await follow(api, topic, '', async (stream) => {
      await stream.until('an id', (raw) => /^id: ?\S+\n\n/m.test(raw))
      id = stream.lastEventId
    })
    await api.produce(topic, [{ value: 'while away' }])
    await follow(
      api,
      topic,
      '',
      async (stream) => expect(values(await stream.take(1))).toEqual(['while away']),
      { 'last-event-id': id },
    )
  })

  it('sends each partition in order, and only the partitions asked for', async () => {
    const topic = await api.makeTopic('partitions', { partitions: 3 })
    await follow(api, topic, '?partition=0&partition=2', async (stream) => {
      await stream.until('the first bytes', (raw) => raw.length > 0)
      await api.produce(
        topic,
        Array.from({ length: 60 }, (_, i) => ({ partition: i % 3, value: i })),
      )
      const records = (await stream.take(40)).map(record)
      for (const partition of [0, 2]) {
        const offsets = records.filter((r) => r.partition === partition).map((r) => r.offset)
        expect(offsets).toEqual(Array.from({ length: 20 }, (_, i) => i))
      }
    })
  })
}

function describeResume(api: Api): void {
  it('goes on exactly behind any event by Last-Event-ID, over all partitions', async () => {
    const topic = await api.makeTopic('resume', { partitions: 3 })
    await api.produce(
      topic,
      Array.from({ length: 30 }, (_, i) => ({ partition: i % 3, value: i })),
    )
    const all: SseEvent[] = []
    await follow(api, topic, '?from=earliest', async (stream) => {
      all.push(...(await stream.take(30)))
    })
    for (const cut of [0, 7, 15, 28]) {
      const seen = values(all.slice(0, cut + 1))
      await follow(
        api,
        topic,
        '?from=earliest',
        async (stream) => {
          const rest = values(await stream.take(29 - cut))
          expect([...seen, ...rest].toSorted((a, b) => Number(a) - Number(b))).toEqual(
            Array.from({ length: 30 }, (_, i) => i),
          )
        },
        { 'last-event-id': all[cut]?.id ?? '' },
      )
    }
  })

  it('has a cursor for its ids, which a read takes, and takes the cursor of a read', async () => {
    const topic = await api.makeTopic('exchange')
    await api.produceNumbers(topic, 6)
    const { cursor } = await api.read(topic, '?limit=2')
    await follow(api, topic, `?cursor=${cursor}`, async (stream) => {
      const events = await stream.take(2)
      expect(values(events)).toEqual([2, 3])
      const { records } = await api.read(topic, `?cursor=${events[1]?.id}`)
      expect(records.map(({ value }) => value)).toEqual([4, 5])
    })
  })

  it('Last-Event-ID wins over cursor=, and cursor= over from=', async () => {
    const topic = await api.makeTopic('precedence')
    await api.produceNumbers(topic, 5)
    const { cursor: early } = await api.read(topic, '?limit=1')
    const { cursor: late } = await api.read(topic, '?limit=4')
    await follow(api, topic, `?from=earliest&cursor=${early}`, async (stream) => {
      expect(values(await stream.take(1))).toEqual([1])
    })
    await follow(
      api,
      topic,
      `?from=earliest&cursor=${early}`,
      async (stream) => expect(values(await stream.take(1))).toEqual([4]),
      { 'last-event-id': late },
    )
  })

  it('gives the same records to all who follow, whenever they came', async () => {
    const topic = await api.makeTopic('fan-out', { partitions: 2 })
    const path = `/v1/topics/${topic}/stream?from=earliest`
    const expected = Array.from({ length: 300 }, (_, i) => i)
    const streams: EventStream[] = []
    try {
      for (let round = 0; round < 3; round++) {
        streams.push(await api.stream(path), await api.stream(path))
        await api.produce(
          topic,
          Array.from({ length: 100 }, (_, i) => ({ value: round * 100 + i })),
        )
      }
      for (const stream of streams) {
        const seen = values(await stream.take(300))
        expect(seen.toSorted((a, b) => Number(a) - Number(b))).toEqual(expected)
      }
    } finally {
      for (const stream of streams) await stream.close()
    }
  })
}

function describeControl(api: Api): void {
  it('says `gap` where records were removed before they could be sent, and goes on', async () => {
    const topic = await api.makeTopic('gap')
    await api.produceNumbers(topic, 10)
    const { cursor } = await api.read(topic, '?limit=2')
    await api.call('DELETE', `/v1/topics/${topic}/partitions/0/records?before=6`)
    await follow(api, topic, `?cursor=${cursor}`, async (stream) => {
      const [gap, ...rest] = await stream.take(5)
      expect(gap?.event).toBe('gap')
      expect(JSON.parse(gap?.data ?? '')).toEqual({ topic, partition: 0, offset: 2, earliest: 6 })
      expect(values(rest)).toEqual([6, 7, 8, 9])
    })
  })

  it('ends with the reason when the topic is deleted', async () => {
    const topic = await api.makeTopic('deleted')
    await api.produceNumbers(topic, 1)
    await follow(api, topic, '?from=earliest', async (stream) => {
      await stream.take(1)
      expect((await api.call('DELETE', `/v1/topics/${topic}`)).status).toBe(202)
      const [end] = await stream.take(1)
      expect(end?.event).toBe('end')
      expect(JSON.parse(end?.data ?? '')).toMatchObject({ reason: 'deleted' })
      expect(await stream.next()).toBeUndefined()
    })
  })

  it('sends a comment from time to time where nothing else comes', async () => {
    const topic = await api.makeTopic('comments')
    await follow(api, topic, '', async (stream) => {
      const count = (raw: string): number => raw.match(/^:/gm)?.length ?? 0
      await stream.until('a second comment', (raw) => count(raw) >= 2)
      expect(stream.comments.length).toBeGreaterThanOrEqual(2)
    })
  }, 40_000)
}

function describeRefusals(api: Api): void {
  it.each([
    ['?from=beginning', 'invalid-parameter'],
    ['?cursor=broken', 'bad-cursor'],
    ['?form=latest', 'unknown-parameter'],
    ['?data=key', 'invalid-parameter'],
    ['?partition=7', 'partition-not-found'],
  ])('refuses %s with %s before the stream begins', async (query, code) => {
    const topic = await api.makeTopic('refused')
    api.expectProblem(await api.call('GET', `/v1/topics/${topic}/stream${query}`), code)
  })

  it('answers 404 for a topic that is not there', async () => {
    const name = api.freshName('missing')
    api.expectProblem(await api.call('GET', `/v1/topics/${name}/stream`), 'topic-not-found')
  })

  it('answers 416 for a place past the end', async () => {
    const topic = await api.makeTopic('past')
    const answer = await api.call('GET', `/v1/topics/${topic}/stream?from=offset:1`)
    api.expectProblem(answer, 'offset-out-of-range')
  })
}

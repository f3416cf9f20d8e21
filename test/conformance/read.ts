/** Reading a topic: places to start from, bounds of an answer, forms of an answer. */
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import type { Api } from './api.ts'
import type { ReadPage, WireRecord } from './shapes.ts'

const values = (records: readonly WireRecord[]): unknown[] => records.map(({ value }) => value)

export function describeRead(api: Api): void {
  describe('read', () => {
    describeFrom(api)
    describeBounds(api)
    describeForms(api)
    describeRefusals(api)
  })
}

function describeFrom(api: Api): void {
  it('starts at the earliest record by default', async () => {
    const topic = await api.makeTopic('default')
    await api.produceNumbers(topic, 3)
    expect(values((await api.read(topic)).records)).toEqual([0, 1, 2])
    expect(values((await api.read(topic, '?from=earliest')).records)).toEqual([0, 1, 2])
  })

  it('from=latest starts behind the newest record', async () => {
    const topic = await api.makeTopic('latest')
    await api.produceNumbers(topic, 3)
    const { records, cursor } = await api.read(topic, '?from=latest')
    expect(records).toEqual([])
    await api.produce(topic, [{ value: 'new' }])
    expect(values(await api.readAll(topic, `?cursor=${cursor}`))).toEqual(['new'])
  })

  it('from=offset:N starts at that offset, also at the tail', async () => {
    const topic = await api.makeTopic('offset')
    await api.produceNumbers(topic, 5)
    expect(values((await api.read(topic, '?from=offset:3')).records)).toEqual([3, 4])
    expect(values((await api.read(topic, '?from=offset:5')).records)).toEqual([])
  })

  it('from=last:N gives the last N offsets of each partition, or all there are', async () => {
    const topic = await api.makeTopic('last', { partitions: 2 })
    await api.produce(
      topic,
      [0, 1, 2, 3, 4, 5].map((value) => ({ partition: value % 2, value })),
    )
    const last = values(await api.readAll(topic, '?from=last:1'))
    expect(new Set(last)).toEqual(new Set([4, 5]))
    expect((await api.readAll(topic, '?from=last:100')).length).toBe(6)
    expect((await api.readAll(topic, '?from=last:0')).length).toBe(0)
  })

  it('from=time:T starts at the first record of that time or later', async () => {
    const topic = await api.makeTopic('time')
    const at = (minute: number): string => new Date(Date.UTC(2024, 0, 1, 0, minute)).toISOString()
    for (const minute of [0, 1, 2, 3]) {
      await api.produce(topic, [{ value: minute, timestamp: at(minute) }])
    }
    const from = async (time: string): Promise<unknown[]> =>
      values((await api.read(topic, `?from=${encodeURIComponent(`time:${time}`)}`)).records)
    expect(await from(at(2))).toEqual([2, 3])
    expect(await from('2024-01-01T00:01:30Z')).toEqual([2, 3])
    expect(await from('2024-01-01T01:00:00+01:00')).toEqual([0, 1, 2, 3])
    expect(await from('2000-01-01T00:00:00Z')).toEqual([0, 1, 2, 3])
    expect(await from(at(4))).toEqual([])
  })

  it('finds a time inside a batch', async () => {
    const topic = await api.makeTopic('time-in-batch')
    await api.produce(
      topic,
      Array.from({ length: 100 }, (_, i) => ({
        value: i,
        timestamp: new Date(Date.UTC(2024, 0, 1) + i * 1_000).toISOString(),
      })),
    )
    const { records } = await api.read(topic, '?from=time:2024-01-01T00:01:10Z')
    expect(values(records)[0]).toBe(70)
  })

  it('a read changes nothing: the same question has the same answer', async () => {
    const topic = await api.makeTopic('safe')
    await api.produceNumbers(topic, 10)
    const first = await api.call('GET', `/v1/topics/${topic}/records?limit=3`)
    const second = await api.call('GET', `/v1/topics/${topic}/records?limit=3`)
    expect(second.text).toBe(first.text)
  })
}

function describeBounds(api: Api): void {
  it('limit= bounds the number of records, and the cursor goes on behind them', async () => {
    const topic = await api.makeTopic('limit')
    await api.produceNumbers(topic, 10)
    const first = await api.read(topic, '?limit=4')
    expect(values(first.records)).toEqual([0, 1, 2, 3])
    const second = await api.read(topic, `?limit=4&cursor=${first.cursor}`)
    expect(values(second.records)).toEqual([4, 5, 6, 7])
  })

  it('gives at most 1,000 records unless asked for more', async () => {
    const topic = await api.makeTopic('limit-default')
    await api.produceNumbers(topic, 1_500)
    expect((await api.read(topic)).records.length).toBe(1_000)
    expect((await api.read(topic, '?limit=1500')).records.length).toBe(1_500)
  })

  it('maxBytes= bounds the answer, but the first record always comes', async () => {
    const topic = await api.makeTopic('max-bytes')
    for (let i = 0; i < 10; i++) await api.produce(topic, [{ value: `${i}`.repeat(10_000) }])
    const { records } = await api.read(topic, '?maxBytes=35000')
    expect(records.length).toBeGreaterThanOrEqual(1)
    expect(records.length).toBeLessThanOrEqual(4)
    expect((await api.read(topic, '?maxBytes=1')).records.length).toBeGreaterThanOrEqual(1)
    expect((await api.readAll(topic, '?maxBytes=1')).length).toBe(10)
  })

  it('partition= narrows the read and may be repeated', async () => {
    const topic = await api.makeTopic('narrow', { partitions: 4 })
    await api.produce(
      topic,
      [0, 1, 2, 3].map((partition) => ({ partition, value: partition })),
    )
    expect(values(await api.readAll(topic, '?partition=2'))).toEqual([2])
    const two = values(await api.readAll(topic, '?partition=3&partition=1'))
    expect(new Set(two)).toEqual(new Set([1, 3]))
  })

  it("gives each partition's records in order, and all of them by following the cursor", async () => {
    const topic = await api.makeTopic('all', { partitions: 5 })
    const produced = await api.produce(
      topic,
      Array.from({ length: 500 }, (_, value) => ({ key: `k${value % 37}`, value })),
    )
    const records: WireRecord[] = []
    let cursor = ''
    for (;;) {
      const page = await api.read(topic, `?limit=17${cursor && `&cursor=${cursor}`}`)
      if (page.records.length === 0) break
      records.push(...page.records)
      cursor = page.cursor
    }
    expect(records.length).toBe(500)
    const next = new Map<number, number>()
    for (const { partition, offset, value } of records) {
      expect(offset).toBe(next.get(partition) ?? 0)
      next.set(partition, offset + 1)
      expect(produced.records[value as number]).toMatchObject({ partition, offset })
    }
  })

  it('reads alike whatever the isolation, as long as there are no transactions', async () => {
    const topic = await api.makeTopic('isolation')
    await api.produceNumbers(topic, 3)
    for (const isolation of ['committed', 'uncommitted']) {
      expect((await api.read(topic, `?isolation=${isolation}`)).records.length).toBe(3)
    }
  })

  it('covers at most 256 partitions, and more by naming some', async () => {
    const topic = await api.makeTopic('wide', { partitions: 300 })
    const answer = await api.call('GET', `/v1/topics/${topic}/records`)
    expect(api.expectProblem(answer, 'too-many-partitions').limit).toBe(256)
    const many = Array.from({ length: 257 }, (_, i) => `partition=${i}`).join('&')
    const named = await api.call('GET', `/v1/topics/${topic}/records?${many}`)
    expect([400, 422]).toContain(named.status)
    expect((await api.read(topic, `?${many.replace('&partition=256', '')}`)).records).toEqual([])
    await api.produce(topic, [{ partition: 299, value: 'x' }])
    expect(values((await api.read(topic, '?partition=299')).records)).toEqual(['x'])
  })
}

function describeForms(api: Api): void {
  it('answers JSON that is not to be cached, with an application/json type', async () => {
    const topic = await api.makeTopic('json')
    await api.produceNumbers(topic, 1)
    const answer = await api.call('GET', `/v1/topics/${topic}/records`)
    expect(answer.mediaType).toBe('application/json')
    expect(answer.header('cursor')).toBe(answer.json<ReadPage>().cursor)
    expect(answer.header('x-content-type-options')).toBe('nosniff')
    expect(answer.header('cache-control')).toMatch(/no-store|no-cache/)
  })

  it('gives one record a line for Accept: application/x-ndjson, with the cursor in a header', async () => {
    const topic = await api.makeTopic('ndjson')
    await api.publish(topic, '{"a":\r\n [1,\n2]}', {
      headers: { 'content-type': 'application/json' },
    })
    await api.produceNumbers(topic, 2)
    const answer = await api.call('GET', `/v1/topics/${topic}/records`, {
      headers: { accept: 'application/x-ndjson' },
    })
    expect([answer.status, answer.mediaType]).toEqual([200, 'application/x-ndjson'])
    const lines = answer.text.split('\n')
    expect(lines.pop()).toBe('')
    const records = lines.map((line) => JSON.parse(line) as WireRecord)
    expect(values(records)).toEqual([{ a: [1, 2] }, 0, 1])
    expect(records[0]).toMatchObject({ topic, partition: 0, offset: 0 })
    await api.produce(topic, [{ value: 'next' }])
    const cursor = answer.header('cursor') ?? ''
    expect(values((await api.read(topic, `?cursor=${cursor}`)).records)).toEqual(['next'])
  })

  it.each(['application/xml', 'image/png'])('cannot answer as %s', async (accept) => {
    const topic = await api.makeTopic('not-acceptable')
    const answer = await api.call('GET', `/v1/topics/${topic}/records`, { headers: { accept } })
    api.expectProblem(answer, 'not-acceptable')
  })

  it.each([
    ['gzip', gunzipSync],
    ['zstd', zstdDecompressSync],
  ])('deflates a large answer with %s where the client takes it', async (encoding, inflate) => {
    const topic = await api.makeTopic('deflate')
    await api.produce(
      topic,
      Array.from({ length: 500 }, (_, i) => ({ value: `record number ${i} of many` })),
    )
    const path = `/v1/topics/${topic}/records`
    const answer = await api.call('GET', path, { headers: { 'accept-encoding': encoding } })
    expect(answer.header('content-encoding')).toBe(encoding)
    expect(answer.header('vary')?.toLowerCase()).toContain('accept-encoding')
    const plain = await api.call('GET', path)
    expect(plain.header('content-encoding')).toBeUndefined()
    expect(inflate(answer.body).equals(plain.body)).toBe(true)
    expect(answer.body.byteLength).toBeLessThan(plain.body.byteLength / 4)
  })

  it('answers HEAD without a body', async () => {
    const topic = await api.makeTopic('head')
    await api.produceNumbers(topic, 1)
    const answer = await api.call('HEAD', `/v1/topics/${topic}/records`)
    expect([answer.status, answer.text]).toEqual([200, ''])
  })
}

function describeRefusals(api: Api): void {
  it.each(['?form=earliest', '?offset=3', '?timeout=5', '?Limit=1'])(
    'refuses the unknown parameter %s',
    async (query) => {
      const topic = await api.makeTopic('unknown')
      const answer = await api.call('GET', `/v1/topics/${topic}/records${query}`)
      api.expectProblem(answer, 'unknown-parameter')
    },
  )

  it.each([
    '?from=beginning',
    '?from=offset:-1',
    '?from=offset:x',
    '?from=last:-1',
    '?from=time:yesterday',
    '?from=',
    '?limit=0',
    '?limit=10001',
    '?limit=x',
    '?maxBytes=0',
    '?maxBytes=8388609',
    '?wait=56',
    '?wait=-1',
    '?wait=soon',
    '?isolation=none',
    '?partition=x',
  ])('refuses the value in %s', async (query) => {
    const topic = await api.makeTopic('invalid')
    const answer = await api.call('GET', `/v1/topics/${topic}/records${query}`)
    const problem = api.expectProblem(answer, 'invalid-parameter')
    const name = query.slice(1).split('=')[0] ?? ''
    expect(JSON.stringify(problem.errors ?? problem.detail)).toContain(name)
  })

  it('answers 404 for a topic or a partition that is not there, and makes no topic', async () => {
    const name = api.freshName('missing')
    api.expectProblem(await api.call('GET', `/v1/topics/${name}/records`), 'topic-not-found')
    api.expectProblem(await api.call('GET', `/v1/topics/${name}`), 'topic-not-found')
    const topic = await api.makeTopic('partition')
    const answer = await api.call('GET', `/v1/topics/${topic}/records?partition=1`)
    api.expectProblem(answer, 'partition-not-found')
  })

  it('answers 416 with a usable tail for an offset past the end', async () => {
    const topic = await api.makeTopic('past')
    await api.produceNumbers(topic, 3)
    const answer = await api.call('GET', `/v1/topics/${topic}/records?from=offset:4`)
    const { tail = '', partition, offset } = api.expectProblem(answer, 'offset-out-of-range')
    expect({ partition, offset }).toEqual({ partition: 0, offset: 3 })
    await api.produce(topic, [{ value: 'next' }])
    expect(values((await api.read(topic, `?cursor=${tail}`)).records)).toEqual(['next'])
  })
}

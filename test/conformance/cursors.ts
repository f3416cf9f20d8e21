/** Cursors: opaque, checked, good for one topic; what wins when several places are named. */
import { describe, expect, it } from 'vitest'
import type { Api } from './api.ts'
import type { WireRecord } from './shapes.ts'

const values = (records: readonly WireRecord[]): unknown[] => records.map(({ value }) => value)

export function describeCursors(api: Api): void {
  describe('cursors', () => {
    describeChecks(api)
    describePrecedence(api)
    describeTrimmed(api)
  })
}

function describeChecks(api: Api): void {
  const expectBad = async (topic: string, cursor: string): Promise<void> => {
    const answer = await api.call(
      'GET',
      `/v1/topics/${topic}/records?cursor=${encodeURIComponent(cursor)}`,
    )
    api.expectProblem(answer, 'bad-cursor')
  }

  it('fits into a URL as it is', async () => {
    const topic = await api.makeTopic('charset', { partitions: 3 })
    await api.produceNumbers(topic, 10)
    expect((await api.read(topic)).cursor).toMatch(/^[A-Za-z0-9_-]+$/)
  })

  it('refuses a cursor that was damaged anywhere', async () => {
    const topic = await api.makeTopic('damaged', { partitions: 2 })
    await api.produceNumbers(topic, 5)
    const { cursor } = await api.read(topic)
    for (let i = 0; i < cursor.length; i++) {
      const other = cursor[i] === 'A' ? 'g' : 'A'
      await expectBad(topic, cursor.slice(0, i) + other + cursor.slice(i + 1))
    }
    for (let length = 1; length < cursor.length; length += 3) {
      await expectBad(topic, cursor.slice(0, length))
    }
    await expectBad(topic, `${cursor}AAAA`)
  })

  it.each(['x', '0', 'AAAAAAAAAAAAAAAAAAAA', 'ä', '%00', 'x'.repeat(5_000)])(
    'refuses %.20s, which is no cursor',
    async (cursor) => {
      const topic = await api.makeTopic('forged')
      await expectBad(topic, cursor)
    },
  )

  it('refuses the cursor of another topic', async () => {
    const topic = await api.makeTopic('one')
    const other = await api.makeTopic('other')
    await api.produceNumbers(other, 1)
    await expectBad(topic, (await api.read(other)).cursor)
  })

  it('refuses the cursor of a deleted topic on its successor of the same name', async () => {
    const topic = await api.makeTopic('recreated')
    await api.produceNumbers(topic, 3)
    const { cursor } = await api.read(topic)
    expect((await api.call('DELETE', `/v1/topics/${topic}`)).status).toBe(202)
    await expect
      .poll(
        async () => (await api.callJson('PUT', `/v1/topics/${topic}`, { partitions: 1 })).status,
        {
          timeout: 20_000,
        },
      )
      .toBe(201)
    await expectBad(topic, cursor)
    await api.expectEmpty(topic)
  })

  it('keeps to the partitions of the read that made it', async () => {
    const topic = await api.makeTopic('partitions', { partitions: 3 })
    const { cursor } = await api.read(topic, '?partition=1')
    await api.produce(
      topic,
      [0, 1, 2].map((partition) => ({ partition, value: partition })),
    )
    expect(values((await api.read(topic, `?cursor=${cursor}`)).records)).toEqual([1])
  })

  it('reads partitions that are named, but not in the cursor, from their earliest record', async () => {
    const topic = await api.makeTopic('named', { partitions: 3 })
    await api.produce(
      topic,
      [0, 1, 2].map((partition) => ({ partition, value: `old ${partition}` })),
    )
    const { cursor } = await api.read(topic, '?partition=0')
    await api.produce(
      topic,
      [0, 1, 2].map((partition) => ({ partition, value: `new ${partition}` })),
    )
    const read = await api.readAll(topic, `?partition=0&partition=2&cursor=${cursor}`)
    expect(new Set(values(read))).toEqual(new Set(['new 0', 'old 2', 'new 2']))
  })
}

function describePrecedence(api: Api): void {
  it('cursor= wins over from=', async () => {
    const topic = await api.makeTopic('cursor-wins')
    await api.produceNumbers(topic, 5)
    const { cursor } = await api.read(topic, '?limit=3')
    const { records } = await api.read(topic, `?from=earliest&cursor=${cursor}`)
    expect(values(records)).toEqual([3, 4])
  })

  it('Last-Event-ID wins over both', async () => {
    const topic = await api.makeTopic('header-wins')
    await api.produceNumbers(topic, 5)
    const { cursor } = await api.read(topic, '?limit=1')
    const { cursor: later } = await api.read(topic, '?limit=4')
    const path = `/v1/topics/${topic}/records?from=earliest&cursor=${cursor}`
    const answer = await api.call('GET', path, { headers: { 'last-event-id': later } })
    expect(answer.json<{ records: WireRecord[] }>().records.map(({ value }) => value)).toEqual([4])
  })

  it('a damaged Last-Event-ID is refused even beside a good cursor', async () => {
    const topic = await api.makeTopic('header-bad')
    const { cursor } = await api.read(topic)
    const answer = await api.call('GET', `/v1/topics/${topic}/records?cursor=${cursor}`, {
      headers: { 'last-event-id': 'broken' },
    })
    api.expectProblem(answer, 'bad-cursor')
  })
}

function describeTrimmed(api: Api): void {
  it('answers 410 with a usable cursor `earliest` when the records are gone', async () => {
    const topic = await api.makeTopic('trimmed')
    await api.produceNumbers(topic, 10)
    const { cursor } = await api.read(topic, '?limit=2')
    const trim = await api.call('DELETE', `/v1/topics/${topic}/partitions/0/records?before=5`)
    expect(trim.status, trim.text).toBe(200)
    const path = `/v1/topics/${topic}/records`
    const answer = await api.call('GET', `${path}?cursor=${cursor}`)
    const { earliest = '', partition, offset } = api.expectProblem(answer, 'cursor-expired')
    expect({ partition, offset }).toEqual({ partition: 0, offset: 5 })
    expect(values((await api.read(topic, `?cursor=${earliest}`)).records)).toEqual([5, 6, 7, 8, 9])
    api.expectProblem(await api.call('GET', `${path}?from=offset:4`), 'cursor-expired')
    expect(values((await api.read(topic, '?from=earliest')).records)[0]).toBe(5)
    expect(values((await api.read(topic, '?from=last:100')).records)[0]).toBe(5)
  })

  it('`earliest` keeps the positions of the partitions that are not trimmed', async () => {
    const topic = await api.makeTopic('trimmed-one', { partitions: 2 })
    await api.produce(
      topic,
      [0, 1, 0, 1, 0, 1].map((partition, value) => ({ partition, value })),
    )
    const { cursor } = await api.read(topic, '?limit=100')
    await api.produce(
      topic,
      [0, 1, 0, 1].map((partition, i) => ({ partition, value: 6 + i })),
    )
    await api.call('DELETE', `/v1/topics/${topic}/partitions/1/records?before=4`)
    const answer = await api.call('GET', `/v1/topics/${topic}/records?cursor=${cursor}`)
    const { earliest = '' } = api.expectProblem(answer, 'cursor-expired')
    const read = values(await api.readAll(topic, `?cursor=${earliest}`))
    expect(new Set(read)).toEqual(new Set([6, 8, 9]))
  })
}

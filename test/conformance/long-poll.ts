/** Reads that wait: released by the first record, or answered empty in time. */
import { describe, expect, it } from 'vitest'
import { within } from '../support/eventually.ts'
import type { Api } from './api.ts'
import type { ReadPage, WireRecord } from './shapes.ts'

const values = (records: readonly WireRecord[]): unknown[] => records.map(({ value }) => value)

export function describeLongPoll(api: Api): void {
  describe('long-poll', () => {
    describeRelease(api)
    describeTimeout(api)
  })
}

function describeRelease(api: Api): void {
  it('is released by a record that comes while it waits', async () => {
    const topic = await api.makeTopic('release', { partitions: 3 })
    const { cursor } = await api.read(topic, '?from=latest')
    const waiting = api.read(topic, `?cursor=${cursor}&wait=55`)
    await api.produce(topic, [{ partition: 2, value: 'new' }])
    expect(values((await within('released', 10_000, waiting)).records)).toEqual(['new'])
  })

  it('misses nothing: a reader that goes from cursor to cursor sees every record once, in order', async () => {
    const topic = await api.makeTopic('follow')
    const follow = async (): Promise<unknown[]> => {
      const seen: unknown[] = []
      let cursor = ''
      while (seen.length < 200) {
        const page: ReadPage = await api.read(
          topic,
          `?wait=20&limit=7${cursor && `&cursor=${cursor}`}`,
        )
        seen.push(...values(page.records))
        cursor = page.cursor
      }
      return seen
    }
    const reader = follow()
    for (let value = 0; value < 200; value++) await api.produce(topic, [{ value }])
    const expected = Array.from({ length: 200 }, (_, i) => i)
    expect(await within('all records', 30_000, reader)).toEqual(expected)
  })

  it('releases all who wait', async () => {
    const topic = await api.makeTopic('herd')
    const { cursor } = await api.read(topic)
    const waiting = Array.from({ length: 100 }, () => api.read(topic, `?wait=55&cursor=${cursor}`))
    await api.publish(topic, 'x')
    for (const page of await within('all released', 15_000, Promise.all(waiting))) {
      expect(values(page.records)).toEqual(['x'])
    }
  })

  it('answers at once when there is something, however long it may wait', async () => {
    const topic = await api.makeTopic('at-once')
    await api.produceNumbers(topic, 1)
    const page = await within('answered', 10_000, api.read(topic, '?wait=55'))
    expect(values(page.records)).toEqual([0])
  })

  it('is answered when its topic is deleted', async () => {
    const topic = await api.makeTopic('deleted')
    const { cursor } = await api.read(topic)
    const waiting = api.call('GET', `/v1/topics/${topic}/records?wait=55&cursor=${cursor}`)
    expect((await api.call('DELETE', `/v1/topics/${topic}`)).status).toBe(202)
    const answer = await within('answered', 15_000, waiting)
    api.expectProblem(answer, 'topic-not-found')
  })
}

function describeTimeout(api: Api): void {
  it('answers 200 without records, with a cursor that goes on, when none comes in time', async () => {
    const topic = await api.makeTopic('timeout')
    await api.produceNumbers(topic, 1)
    const startedAt = performance.now()
    const page = await api.read(topic, '?from=latest&wait=1')
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(900)
    expect(page.records).toEqual([])
    await api.publish(topic, 'x')
    expect(values((await api.read(topic, `?cursor=${page.cursor}`)).records)).toEqual(['x'])
  })

  it('waits as Prefer: wait=N says', async () => {
    const topic = await api.makeTopic('prefer')
    const startedAt = performance.now()
    const path = `/v1/topics/${topic}/records`
    const answer = await api.call('GET', path, { headers: { prefer: 'respond-async, wait=1' } })
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(900)
    expect(answer.json<ReadPage>().records).toEqual([])
  })

  it('takes a Prefer that is longer than it waits, or none that it knows', async () => {
    const topic = await api.makeTopic('prefer-long')
    await api.produceNumbers(topic, 1)
    for (const prefer of ['wait=1000', 'wait=soon', 'respond-async', '']) {
      const path = `/v1/topics/${topic}/records`
      expect((await api.call('GET', path, { headers: { prefer } })).status, prefer).toBe(200)
    }
  })

  it('wait=0 answers at once', async () => {
    const topic = await api.makeTopic('zero')
    expect((await within('answered', 10_000, api.read(topic, '?wait=0'))).records).toEqual([])
  })
}

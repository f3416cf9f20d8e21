/** Topics that keep the last record of each key. */
import { describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import type { Api } from './api.ts'

const WAIT_MS = 90_000

export function describeCompaction(api: Api): void {
  const change = (topic: string, body: object) => api.callJson('PATCH', `/v1/topics/${topic}`, body)

  describe('compaction', () => {
    it('records without a key are refused, all or none', async () => {
      const topic = await api.makeTopic('keyed', { cleanup: 'compact' })
      const records = [{ key: 'a', value: 1 }, { value: 2 }]
      const path = `/v1/topics/${topic}/records`
      const answer = await api.callJson('POST', path, { records })
      const { errors = [] } = api.expectProblem(answer, 'key-required')
      expect(errors.map(({ pointer }) => pointer)).toEqual(['/records/1/key'])
      api.expectProblem(await api.publish(topic, 'x'), 'key-required')
      await api.expectEmpty(topic)
      await api.produce(topic, [{ key: '', value: 1 }])
    })

    it('a topic can become compacted, and cease to be', async () => {
      const topic = await api.makeTopic('becoming')
      await api.produce(topic, [{ value: 1 }])
      expect((await change(topic, { cleanup: 'both' })).json()).toMatchObject({ cleanup: 'both' })
      api.expectProblem(await api.publish(topic, 'x'), 'key-required')
      await change(topic, { cleanup: 'delete' })
      expect((await api.publish(topic, 'x')).status).toBe(201)
    })

    it('only the three words are taken, and lags that fit each other', async () => {
      const put = (body: object) =>
        api.callJson('PUT', `/v1/topics/${api.freshName('odd')}`, { partitions: 1, ...body })
      api.expectProblem(await put({ cleanup: 'none' }), 'invalid-request')
      const lags = { minCompactionLagMs: 2_000, maxCompactionLagMs: 1_000 }
      const { errors = [] } = api.expectProblem(await put(lags), 'invalid-request')
      expect(errors.map(({ pointer }) => pointer)).toEqual(['/minCompactionLagMs'])
    })

    it('the last record of each key stays, at its offset; the others go, and are passed over', {
      timeout: WAIT_MS + 30_000,
    }, async () => {
      const topic = await api.makeTopic('compacted', {
        partitions: 1,
        cleanup: 'compact',
        segmentBytes: 16_384,
        minCleanableDirtyRatio: 0,
      })
      const value = 'x'.repeat(1_000)
      for (let n = 0; n < 60; n++) {
        await api.produce(topic, [{ key: n % 2 === 0 ? 'even' : `odd ${n}`, value }])
      }
      const gone = `/v1/topics/${topic}/partitions/0/records/0`
      const probe = async () => {
        const answer = await api.call('GET', gone)
        return answer.status === 200 ? undefined : answer
      }
      const first = await eventually('the first record is gone', probe, WAIT_MS)
      api.expectProblem(first, 'record-not-found')
      const records = await api.readAll(topic, '?from=earliest')
      const offsets = records.map(({ offset }) => offset)
      expect(offsets).toEqual(offsets.toSorted((a, b) => a - b))
      expect(offsets).toContain(58)
      for (let n = 1; n < 60; n += 2) expect(offsets).toContain(n)
      expect(offsets.length).toBeLessThan(60)
    })
  })
}

/** Deleting the oldest records of a partition. */
import { describe, expect, it } from 'vitest'
import type { Api } from './api.ts'

export function describeDeleteRecords(api: Api): void {
  describe('delete records', () => {
    const remove = (topic: string, query: string, partition: number | string = 0) =>
      api.call('DELETE', `/v1/topics/${topic}/partitions/${partition}/records${query}`)

    it('removes what is before the offset, and nothing else', async () => {
      const topic = await api.makeTopic('before', { partitions: 2 })
      await api.produce(
        topic,
        [0, 0, 0, 1, 1].map((partition, value) => ({ partition, value })),
      )
      const answer = await remove(topic, '?before=2')
      expect(answer.status, answer.text).toBe(200)
      expect(answer.json()).toEqual({ topic, partition: 0, earliest: 2 })
      const left = (await api.readAll(topic, '?from=earliest')).map(({ value }) => value)
      expect(new Set(left)).toEqual(new Set([2, 3, 4]))
    })

    it('can be repeated, and never brings records back', async () => {
      const topic = await api.makeTopic('repeat')
      await api.produceNumbers(topic, 5)
      const first = await remove(topic, '?before=3')
      expect((await remove(topic, '?before=3')).text).toBe(first.text)
      expect((await remove(topic, '?before=1')).text).toBe(first.text)
      expect((await api.read(topic)).records.map(({ value }) => value)).toEqual([3, 4])
    })

    it('may remove everything; offsets go on', async () => {
      const topic = await api.makeTopic('all')
      await api.produceNumbers(topic, 5)
      expect((await remove(topic, '?before=5')).status).toBe(200)
      await api.expectEmpty(topic)
      expect((await api.produce(topic, [{ value: 'x' }])).records[0]?.offset).toBe(5)
    })

    it('refuses an offset past the end, and removes nothing', async () => {
      const topic = await api.makeTopic('past')
      await api.produceNumbers(topic, 2)
      api.expectProblem(await remove(topic, '?before=3'), 'offset-out-of-range')
      expect((await api.read(topic)).records.length).toBe(2)
    })

    it.each(['', '?before=', '?before=-1', '?before=x', '?before=1.5'])(
      'refuses %j, which is no offset',
      async (query) => {
        const topic = await api.makeTopic('invalid')
        api.expectProblem(await remove(topic, query), 'invalid-parameter')
      },
    )

    it('answers 404 for a topic or partition that is not there', async () => {
      const topic = await api.makeTopic('partition')
      api.expectProblem(await remove(topic, '?before=0', 1), 'partition-not-found')
      api.expectProblem(await remove(api.freshName('missing'), '?before=0'), 'topic-not-found')
    })
  })
}

/** Electing leaders by hand, on a partition that is led: nothing changes, and nothing is lost. */
import { describe, expect, it } from 'vitest'
import type { Api } from './api.ts'

interface Led {
  readonly leader: number
  readonly leaderEpoch: number
  readonly replicas: readonly number[]
  readonly elr: readonly number[]
}

export function describeElections(api: Api): void {
  describe('elections', () => {
    const path = (topic: string, partition = 0) =>
      `/v1/topics/${topic}/partitions/${partition}/election`
    const led = async (topic: string): Promise<Led> => {
      const described = await api.call('GET', `/v1/topics/${topic}`)
      return described.json<{ partitions: Led[] }>().partitions[0] as Led
    }

    it('the preferred leader leads already', async () => {
      const topic = await api.makeTopic('preferred', { replicationFactor: 1 })
      const { leader, leaderEpoch, elr } = await led(topic)
      expect(elr).toEqual([])
      const wanted = { topic, partition: 0, leader, leaderEpoch, isr: [leader], elr: [] }
      const answer = await api.call('POST', path(topic))
      expect(answer.status, answer.text).toBe(200)
      expect(answer.json()).toEqual(wanted)
      expect((await api.callJson('POST', path(topic), {})).json()).toEqual(wanted)
    })

    it('a replica that may lack records is refused while another has them all', async () => {
      const topic = await api.makeTopic('unclean', { replicationFactor: 1 })
      await api.produceNumbers(topic, 3)
      const before = await led(topic)
      const body = { node: before.leader, acceptDataLoss: true }
      api.expectProblem(await api.callJson('POST', path(topic), body), 'election-refused')
      expect(await led(topic)).toEqual(before)
      expect((await api.read(topic)).records).toHaveLength(3)
    })

    it('a loss must be accepted in words, and only where there may be one', async () => {
      const topic = await api.makeTopic('accept', { replicationFactor: 1 })
      const { leader: node } = await led(topic)
      for (const [body, pointer] of [
        [{ node }, '/acceptDataLoss'],
        [{ node, acceptDataLoss: false }, '/acceptDataLoss'],
        [{ node, acceptDataLoss: 'yes' }, '/acceptDataLoss'],
        [{ acceptDataLoss: true }, '/node'],
        [{ node: 123_456, acceptDataLoss: true }, '/node'],
        [{ node: -1, acceptDataLoss: true }, '/node'],
        [{ leader: node }, '/leader'],
      ] as const) {
        const refused = await api.callJson('POST', path(topic), body)
        const { errors = [] } = api.expectProblem(refused, 'invalid-request')
        expect(errors.map((fault) => fault.pointer)).toContain(pointer)
      }
    })

    it('answers 404 for a topic or partition that is not there', async () => {
      const topic = await api.makeTopic('nowhere')
      api.expectProblem(await api.call('POST', path(topic, 9_999)), 'partition-not-found')
      api.expectProblem(await api.call('POST', path(api.freshName('no'))), 'topic-not-found')
    })
  })
}

/** The settings of a topic: the bounds that PROTOCOL.md names, and what is described. */
import { describe, expect, it } from 'vitest'
import type { Api } from './api.ts'

const KIB = 1024
const MIB = 1024 * KIB

/** Setting, least, greatest (undefined: only bounded by what an integer holds), and further values. */
const BOUNDS: [string, number, number | undefined, number[]][] = [
  ['partitions', 1, undefined, []],
  ['replicationFactor', 1, undefined, []],
  ['minInsyncReplicas', 1, undefined, []],
  ['retentionMs', 1, undefined, [-1]],
  ['retentionBytes', 1, undefined, [-1]],
  ['segmentBytes', 16 * KIB, 1024 * MIB, []],
  ['segmentMs', 1_000, undefined, []],
  ['minCompactionLagMs', 0, undefined, []],
  ['maxCompactionLagMs', 1, undefined, [-1]],
  ['deleteRetentionMs', 0, undefined, []],
  ['maxRecordBytes', KIB, 16 * MIB, []],
  ['lingerMs', 0, 1_000, []],
  ['batchBytes', 4 * KIB, 4 * MIB, []],
]

interface Described {
  readonly partitionCount: number
  readonly createdAt: string
  readonly partitions: readonly {
    readonly partition: number
    readonly leader: number
    readonly leaderEpoch: number
    readonly replicas: readonly number[]
    readonly isr: readonly number[]
    readonly earliest: number
    readonly tail: number
    readonly sizeBytes: number
  }[]
}

export function describeSettings(api: Api): void {
  const put = (name: string, body: object) => api.callJson('PUT', `/v1/topics/${name}`, body)

  describe('settings', () => {
    it.each(BOUNDS)('%s has its bounds', async (setting, least, greatest, further) => {
      for (const value of [least, ...(greatest === undefined ? [] : [greatest]), ...further]) {
        const made = await put(api.freshName('bound'), { partitions: 1, [setting]: value })
        expect(made.status, `${value}: ${made.text}`).toBe(201)
        const shownAs = setting === 'partitions' ? 'partitionCount' : setting
        expect(made.json()).toMatchObject({ [shownAs]: value })
      }
      for (const value of [
        least - 1,
        (greatest ?? Number.MAX_SAFE_INTEGER) + 1,
        least + 0.5,
        '1',
      ]) {
        if (further.includes(value as number)) continue
        const refused = await put(api.freshName('beyond'), { partitions: 1, [setting]: value })
        const { errors = [] } = api.expectProblem(refused, 'invalid-request')
        expect(errors.map(({ pointer }) => pointer)).toContain(`/${setting}`)
      }
    })

    it.each([0, 0.25, 1])('a share of %d can be asked for', async (minCleanableDirtyRatio) => {
      const made = await put(api.freshName('share'), { partitions: 1, minCleanableDirtyRatio })
      expect(made.json()).toMatchObject({ minCleanableDirtyRatio })
    })

    it.each([-0.01, 1.01, '0.5'])('a share of %s cannot', async (minCleanableDirtyRatio) => {
      const refused = await put(api.freshName('share'), { minCleanableDirtyRatio })
      const { errors = [] } = api.expectProblem(refused, 'invalid-request')
      expect(errors.map(({ pointer }) => pointer)).toContain('/minCleanableDirtyRatio')
    })

    it('what is named beside a profile wins over it', async () => {
      const made = await put(api.freshName('profile'), { profile: 'throughput', lingerMs: 9 })
      expect(made.json()).toMatchObject({ lingerMs: 9, batchBytes: MIB })
    })

    it('a described topic tells of each partition where it begins and ends, in numbers', async () => {
      const topic = await api.makeTopic('described', { partitions: 2 })
      await api.produce(
        topic,
        [0, 0, 0, 1].map((partition) => ({ partition, value: 'x' })),
      )
      await api.call('DELETE', `/v1/topics/${topic}/partitions/0/records?before=2`)
      const described = (await api.call('GET', `/v1/topics/${topic}`)).json<Described>()
      expect(described.partitionCount).toBe(2)
      expect(Date.parse(described.createdAt)).toBeGreaterThan(Date.now() - 600_000)
      expect(described.partitions).toMatchObject([
        { partition: 0, earliest: 2, tail: 3 },
        { partition: 1, earliest: 0, tail: 1 },
      ])
      for (const { leader, leaderEpoch, replicas, isr, sizeBytes } of described.partitions) {
        expect(replicas).toContain(leader)
        expect(isr).toContain(leader)
        expect(leaderEpoch).toBeGreaterThanOrEqual(0)
        expect(sizeBytes).toBeGreaterThan(0)
      }
    })

    it('a change names at least one setting', async () => {
      const topic = await api.makeTopic('nothing')
      const answer = await api.callJson('PATCH', `/v1/topics/${topic}`, {})
      api.expectProblem(answer, 'invalid-request')
    })
  })
}

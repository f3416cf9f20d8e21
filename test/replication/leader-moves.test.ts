import { describe, expect, test } from 'vitest'
import { ClusterHarness, TOPIC_ID } from './cluster-harness.ts'

const SETTLE_MS = 300_000
const ROUND_MS = 10_000

describe('LeaderMoves', () => {
  /** Node 2 leads what node 1 should; all are in sync. */
  async function awayFromPreferred(partitions = 1): Promise<ClusterHarness> {
    const preferredLeaders = { settleMs: SETTLE_MS, movesPerRound: 4 }
    const cluster = new ClusterHarness({ replicas: [1, 2, 3], partitions }, { preferredLeaders })
    for (const id of [1, 2, 3]) await cluster.start(id)
    for (let p = 0; p < partitions; p++) cluster.elect(2, {}, p)
    await cluster.appended(2, ['before'])
    return cluster
  }
  const ledByFirst = (cluster: ClusterHarness) =>
    cluster.topic.partitions.filter(({ leader }) => leader === 1).length

  test('goes back to preferred leaders after a while, a few at a time', async () => {
    const cluster = await awayFromPreferred(10)
    await cluster.clock.runFor(SETTLE_MS - ROUND_MS)
    expect(ledByFirst(cluster)).toBe(0)
    await cluster.until('some have moved', () => ledByFirst(cluster) > 0)
    await cluster.clock.runFor(ROUND_MS / 2)
    expect(ledByFirst(cluster)).toBe(4)
    await cluster.clock.runFor(2 * ROUND_MS)
    expect(ledByFirst(cluster)).toBe(10)
    expect(cluster.state().leaderEpoch).toBe(2)
    expect(cluster.replica(2).tenure).toBeUndefined()
  })

  test('what was taken is committed before another leads; what comes then is refused for certain', async () => {
    const cluster = await awayFromPreferred()
    const { waiting, stall } = await stallAtMove(cluster)
    const late = cluster.append(2, ['late'], { acks: 1 })
    expect(await cluster.clock.run(late)).toMatchObject({
      ok: false,
      code: 'partition-unavailable',
      committed: 'no',
    })
    expect(cluster.state().leader).toBe(2)
    stall.isOn = false
    expect(await cluster.clock.run(waiting)).toMatchObject({ ok: true })
    await cluster.until('it leads again', () => cluster.state().leader === 1)
    await cluster.untilCopied([1, 2, 3])
  })

  test('a partition that cannot be settled in time stays where it is, and goes on', async () => {
    const cluster = await awayFromPreferred()
    const { waiting, stall } = await stallAtMove(cluster)
    await cluster.clock.runFor(1_500)
    expect(cluster.state()).toMatchObject({ leader: 2, leaderEpoch: 1 })
    expect(await cluster.appended(2, ['on it goes'], { acks: 1 })).toMatchObject({ ok: true })
    stall.isOn = false
    expect(await cluster.clock.run(waiting)).toMatchObject({ ok: true })
  })

  test('at once when it is asked to, if the preferred leader is in sync', async () => {
    const cluster = await awayFromPreferred(3)
    cluster.change({ isr: [2, 3] }, 1)
    const [{ manager }, { manager: other }] = [cluster.node(2), cluster.node(3)]
    const place = (partition: number) => ({ topicId: TOPIC_ID, partition })
    expect(await cluster.clock.run(other.handBack(place(0)))).toBe(false)
    expect(await cluster.clock.run(manager.handBack(place(0)))).toBe(true)
    expect(await cluster.clock.run(manager.handBack(place(0)))).toBe(false)
    expect(await cluster.clock.run(manager.handBack(place(1)))).toBe(false)
    expect(await cluster.clock.run(manager.handBack(place(9)))).toBe(false)
    expect(cluster.topic.partitions.map(({ leader }) => leader)).toEqual([1, 2, 2])
  })

  test('nothing stands still while the store is away', async () => {
    const cluster = await awayFromPreferred()
    await cluster.clock.runFor(SETTLE_MS - ROUND_MS)
    cluster.storeFate = () => new Error('away')
    for (let ms = 0; ms < 3 * ROUND_MS; ms += 50) {
      expect(await cluster.appended(2, ['x'])).toMatchObject({ ok: true })
      await cluster.clock.runFor(50)
    }
    cluster.storeFate = () => 'done'
    await cluster.clock.runFor(2 * ROUND_MS)
    expect(ledByFirst(cluster)).toBe(1)
  })

  test.each(['lost', 'done-unheard'] as const)(
    'while it is not known whether a move came about (%s) the leader goes on, certain of nothing',
    async (fate) => {
      const cluster = await awayFromPreferred()
      const { manager, metadata } = cluster.node(2)
      const isCertain = () => cluster.replica(2).isCertain
      expect(isCertain()).toBe(true)
      cluster.storeFate = (transaction) => {
        if (typeof transaction === 'string') return 'done'
        metadata.isBehind = true
        cluster.storeFate = () => new Error('away')
        return fate
      }
      expect(await cluster.clock.run(manager.handBack({ topicId: TOPIC_ID, partition: 0 }))).toBe(
        false,
      )
      expect(isCertain()).toBe(false)
      const alone = cluster.append(2, ['x'], { acks: 1 })
      expect(await cluster.clock.run(alone)).toMatchObject({ ok: false, committed: 'no' })
      cluster.storeFate = () => 'done'
      await cluster.until('it came about', () => cluster.state().leader === 1)
      expect(isCertain()).toBe(false)
      cluster.catchUp(2)
      expect(cluster.replica(2).tenure).toBeUndefined()
    },
  )

  test('a leader whose move was refused is certain again', async () => {
    const cluster = await awayFromPreferred()
    const { manager } = cluster.node(2)
    cluster.storeFate = (call) => {
      if (typeof call !== 'string' && cluster.node(1).isUp) cluster.kill(1)
      return 'done'
    }
    const moved = manager.handBack({ topicId: TOPIC_ID, partition: 0 })
    expect(await cluster.clock.run(moved)).toBe(false)
    expect([cluster.state().leader, cluster.replica(2).isCertain]).toEqual([2, true])
  })

  /** At the moment of the move a record is under way that a follower does not take. */
  async function stallAtMove(cluster: ClusterHarness) {
    const stall: { isOn: boolean } = { isOn: false }
    cluster.onReply = (_leader, { followerId }, reply) => {
      if (stall.isOn && followerId === 3) throw new Error('stalled')
      return reply
    }
    let waiting: Promise<unknown> | undefined
    cluster.storeFate = () => {
      if (waiting === undefined) {
        stall.isOn = true
        waiting = cluster.append(2, ['under way'])
      }
      return 'done'
    }
    await cluster.until('the move begins', () => waiting !== undefined, 2 * SETTLE_MS)
    await cluster.clock.runFor(100)
    return { waiting: waiting as unknown as Promise<unknown>, stall }
  }
})

/** etcd goes back to an old backup: nodes follow it no further and say why; started again, they have every record of the topics that it knows. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { CurlewCluster, clusterObstacle } from '../support/curlew-cluster.ts'
import { describeIfPossible } from '../support/describe-if-possible.ts'
import { eventually } from '../support/eventually.ts'
import { History } from '../support/history-checker.ts'
import { call } from '../support/http-client.ts'
import { readTopic } from '../support/load.ts'

const OLD = 'older-than-the-backup'
const YOUNG = 'younger-than-the-backup'

describeIfPossible('etcd restored from a backup', clusterObstacle(), () => {
  let cluster: CurlewCluster
  const history = new History()
  let sent = 0

  beforeAll(async () => {
    cluster = await CurlewCluster.start({
      label: 'restored',
      storageArgs: ['--drain-timeout-ms=3s'],
    })
    await cluster.ensureTopic(OLD, { partitions: 3 })
  })
  afterAll(() => cluster.close())

  /** Notes what became of one record for each partition. */
  const write = async (topic: string): Promise<string[]> => {
    const told: string[] = []
    for (const partition of [0, 1, 2]) {
      const value = `value-${sent++}`
      const path = `/v1/topics/${topic}/publish?partition=${partition}`
      const headers = { 'content-type': 'text/plain' }
      const answer = await call(cluster.url, 'POST', path, { headers, body: value })
      const {
        offset,
        committed,
        code = 'written',
      } = answer.json<{
        offset: number
        committed: string
        code?: string
      }>()
      told.push(code)
      if (topic !== OLD) continue
      if (code === 'written') history.wrote('w', value, { kind: 'written', partition, offset })
      else history.wrote('w', value, { kind: committed === 'no' ? 'refused' : 'unknown' })
    }
    return told
  }

  const untilWritten = (): Promise<true> =>
    eventually('records are written again', async () => {
      const told = await write(OLD)
      return told.every((code) => code === 'written') || undefined
    })

  const logsOf = async (nodeId: number): Promise<string[]> =>
    await readdir(join(cluster.node(nodeId).place.dataDirectory, 'logs'))

  /** As the documentation has it: nodes are stopped before, and started after. */
  const restore = async (): Promise<void> => {
    await Promise.all(cluster.nodes.map((node) => node.stop()))
    await cluster.etcd.restore()
    await Promise.all(cluster.nodes.map((node) => node.start()))
    for (const index of cluster.fronts.keys()) {
      await cluster.killFront(index)
      await cluster.startFront(index)
    }
  }

  const expectTruth = async (): Promise<void> => {
    expect(history.anomalies(await readTopic(cluster.url, OLD))).toEqual([])
  }

  it('costs the changes since then, and no record of the topics from before', async () => {
    await untilWritten()
    await cluster.etcd.backUp()
    await untilWritten()
    await cluster.ensureTopic(YOUNG, { partitions: 3 })
    expect(await write(YOUNG)).toEqual(['written', 'written', 'written'])
    const logs = await eventually('the younger logs have folders', async () => {
      const names = await logsOf(2)
      return names.filter((name) => name.startsWith(YOUNG)).length === 3 ? names : undefined
    })
    await restore()
    await cluster.untilWhole([OLD])
    await untilWritten()
    await expectTruth()
    expect((await call(cluster.url, 'GET', `/v1/topics/${YOUNG}`)).status).toBe(404)
    expect(await logsOf(2)).toEqual(expect.arrayContaining(logs))
  })

  it('makes partitions stand still whose leaders changed since then, rather than lose a record', async () => {
    await cluster.etcd.backUp()
    for (let round = 0; round < 2; round++) {
      const leader = cluster.node(await cluster.leaderOf(OLD))
      await leader.killHard()
      await untilWritten()
      await leader.start()
      await cluster.untilWhole([OLD])
    }
    await restore()
    const standing = 'the metadata are older than the log: the partition stands still'
    await eventually('a node says that a partition stands still', () => {
      return cluster.nodes.some(({ output }) => output.includes(standing)) || undefined
    })
    // Whoever leads by the old metadata gives way: those that know better hold all of it.
    for (let round = 0; round < 3; round++) {
      const states = await cluster.partitions(OLD)
      const stuck = states.find(({ isr, replicas }) => isr.length < replicas.length)
      if (stuck === undefined) break
      const leader = cluster.node(stuck.leader)
      await leader.stop()
      await eventually('another one leads', async () => {
        const now = (await cluster.partitions(OLD))[stuck.partition]
        return (now !== undefined && now.leader > 0 && now.leader !== leader.nodeId) || undefined
      })
      await leader.start()
    }
    await cluster.untilWhole([OLD])
    await untilWritten()
    await expectTruth()
  })
})

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

  it('costs the changes since then, and no record of the topics from before', async () => {
    await write(OLD)
    await cluster.etcd.backUp()
    await untilWritten()
    for (let round = 0; round < 3; round++) {
      const leader = cluster.node(await cluster.leaderOf(OLD))
      await leader.killHard()
      await untilWritten()
      await leader.start()
      await cluster.untilWhole([OLD])
    }
    await cluster.ensureTopic(YOUNG, { partitions: 3 })
    expect(await write(YOUNG)).toEqual(['written', 'written', 'written'])
    const logs = await eventually('the younger logs have folders', async () => {
      const names = await logsOf(2)
      return names.filter((name) => name.startsWith(YOUNG)).length === 3 ? names : undefined
    })

    await cluster.etcd.restore()
    console.info('restored')
    for (const node of cluster.nodes) {
      await eventually(
        `node ${node.nodeId} says that the store fell back`,
        async () => {
          const ready = await call(node.process.probeUrl, 'GET', '/readyz')
          const { reasons } = ready.json<{ reasons: string[] }>()
          return reasons.some((reason) => reason.includes('fell back')) || undefined
        },
        100_000,
      )
    }
    console.info('noticed')
    // Whatever is answered meanwhile must be true, too.
    await write(OLD)
    await Promise.all(cluster.nodes.map((node) => node.stop()))
    console.info('stopped')
    await Promise.all(cluster.nodes.map((node) => node.start()))
    console.info('started')
    for (const index of cluster.fronts.keys()) {
      await cluster.killFront(index)
      await cluster.startFront(index)
    }
    console.info('fronts')
    await cluster.untilWhole([OLD], 30_000)
    console.info('whole')
    await untilWritten()
    expect(history.anomalies(await readTopic(cluster.url, OLD))).toEqual([])
    expect((await call(cluster.url, 'GET', `/v1/topics/${YOUNG}`)).status).toBe(404)
    expect(await logsOf(2)).toEqual(expect.arrayContaining(logs))
  }, 300_000)
})

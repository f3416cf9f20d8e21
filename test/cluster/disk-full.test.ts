/** The disk of one storage node runs full: nothing acknowledged is lost, refusals are true, and space heals it. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { CurlewCluster, clusterObstacle } from '../support/curlew-cluster.ts'
import { describeIfPossible } from '../support/describe-if-possible.ts'
import { eventually } from '../support/eventually.ts'
import { History } from '../support/history-checker.ts'
import type { Answer } from '../support/http-client.ts'
import { call } from '../support/http-client.ts'
import { readTopic } from '../support/load.ts'
import { TmpfsMount, tmpfsObstacle } from '../support/tmpfs-mount.ts'

const MIB = 1024 * 1024
const DISK_BYTES = 300 * MIB
const TOPIC = 'filling'
const FULL_NODE = 2
const VALUE_BYTES = 900_000

describeIfPossible('full disk of one node', clusterObstacle() ?? tmpfsObstacle(), () => {
  let disk: TmpfsMount
  let cluster: CurlewCluster
  const history = new History()
  const codes = new Map<string, number>()
  let sent = 0

  beforeAll(async () => {
    disk = new TmpfsMount(DISK_BYTES)
    cluster = await CurlewCluster.start({
      label: 'disk-full',
      dataDirectory: (nodeId) => (nodeId === FULL_NODE ? `${disk.path}/data` : undefined),
    })
    await cluster.ensureTopic(TOPIC, { partitions: 3, segmentBytes: 8 * MIB })
  })
  afterAll(async () => {
    await cluster.close()
    disk.remove()
  })

  const publish = async (partition: number): Promise<Answer> => {
    const value = `${sent++}-${'x'.repeat(VALUE_BYTES)}`
    const path = `/v1/topics/${TOPIC}/publish?partition=${partition}`
    const headers = { 'content-type': 'text/plain' }
    const answer = await call(cluster.url, 'POST', path, { headers, body: value })
    if (answer.status === 201) {
      const { offset } = answer.json<{ offset: number }>()
      history.wrote('w', value, { kind: 'written', partition, offset })
    } else {
      const { committed, code } = answer.json<{ committed: string; code: string }>()
      codes.set(code, (codes.get(code) ?? 0) + 1)
      history.wrote('w', value, { kind: committed === 'no' ? 'refused' : 'unknown' })
    }
    return answer
  }

  it('leaves the rest at work, and comes back when there is space', async () => {
    await eventually(
      'the full node is out of sync everywhere, or leads nothing that takes records',
      async () => {
        const answers = await Promise.all([publish(0), publish(1), publish(2)])
        const partitions = await cluster.partitions(TOPIC)
        const isOut = partitions.every(({ isr }) => !isr.includes(FULL_NODE))
        const isRefused = answers.some(({ status }) => status === 507)
        return isOut || isRefused || undefined
      },
      60_000,
    )
    console.info(`full after ${sent} records: ${JSON.stringify([...codes])}`)
    await eventually('others lead what the full node led', async () => {
      const partitions = await cluster.partitions(TOPIC)
      return partitions.every(({ leader }) => leader > 0 && leader !== FULL_NODE) || undefined
    })
    for (const partition of [0, 1, 2]) {
      await eventually(`partition ${partition} takes records`, async () => {
        return (await publish(partition)).status === 201 || undefined
      })
    }
    expect(cluster.node(FULL_NODE).output).not.toContain('"level":60')
    disk.resize(4 * DISK_BYTES)
    await cluster.untilWhole([TOPIC])
    for (const partition of [0, 1, 2]) {
      await eventually(`partition ${partition} takes records`, async () => {
        return (await publish(partition)).status === 201 || undefined
      })
    }
    expect(history.anomalies(await readTopic(cluster.url, TOPIC))).toEqual([])
    expect(history.count('written')).toBeGreaterThan(50)
  })
})

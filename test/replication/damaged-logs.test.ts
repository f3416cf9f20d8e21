import { describe, expect, test } from 'vitest'
import type { SimFileSystem } from '../sim/sim-file-system.ts'
import { ClusterHarness, TOPIC_ID } from './cluster-harness.ts'
import { DATA, readAll, valuesOf } from './replica-harness.ts'

const LOG = `${DATA}/logs/t-0.${TOPIC_ID}`
const FIRST = `${LOG}/${'0'.padStart(20, '0')}.log`
const RECORDS = 60
const BLOCK_BYTES = 4096

describe('a damaged log of one of several', () => {
  /** Node 1 leads; all have some segments of records, which are no longer in memory. */
  async function written(replicas = [1, 2, 3]): Promise<ClusterHarness> {
    const config = { segmentBytes: 20_000, minInsyncReplicas: Math.min(2, replicas.length) }
    const cluster = new ClusterHarness({ replicas, config }, { memoryBytes: 0 })
    for (const id of replicas) await cluster.start(id)
    cluster.elect(1)
    for (let i = 0; i < RECORDS; i++) await cluster.appended(1, [`${i}:${'x'.repeat(1000)}`])
    await cluster.untilCopied(replicas)
    for (const id of replicas) {
      await cluster.clock.run(cluster.node(id).manager.storage.checkpoints.run(false))
    }
    return cluster
  }
  const quarantined = async (cluster: ClusterHarness, id: number) =>
    await cluster.clock.run(cluster.node(id).fileSystem.list(`${DATA}/quarantine`))
  const isWhole = async (cluster: ClusterHarness, id: number) => {
    cluster.elect(id)
    await cluster.until('it leads, and knows what is committed', () => {
      const { tenure, log } = cluster.replica(id)
      return tenure !== undefined && log.highWatermark === RECORDS
    })
    const records = await cluster.clock.run(readAll(cluster.node(id).manager, TOPIC_ID))
    expect(valuesOf(records).map((value) => Number.parseInt(value, 10))).toEqual(
      Array.from({ length: RECORDS }, (_, i) => i),
    )
  }

  test('one that is found at the start copies the partition afresh, and is let in again', async () => {
    const cluster = await written()
    cluster.kill(2)
    await cluster.clock.run(cluster.node(2).fileSystem.remove(FIRST))
    // As the node does for a log that is damaged, before it registers.
    cluster.change({ isr: [1, 3] })
    await cluster.start(2)
    await cluster.until('it is in sync', () => cluster.state().isr.length === 3)
    expect(cluster.log(2)).toMatchObject({ damage: undefined, startOffset: 0 })
    expect(await quarantined(cluster, 2)).toEqual([`t-0.${TOPIC_ID}`])
    await isWhole(cluster, 2)
    cluster.crash(2)
    cluster.elect(1)
    await cluster.start(2)
    expect(cluster.log(2)).toMatchObject({ damage: undefined, endOffset: RECORDS })
    expect(cluster.node(2).fatal).toEqual([])
  })

  test('one that is killed amid it is damaged yet, or begins anew', async () => {
    for (let afterMs = 0; afterMs < 40; afterMs += 2) {
      const cluster = await written([1, 2])
      cluster.kill(2)
      await cluster.clock.run(cluster.node(2).fileSystem.remove(FIRST))
      cluster.change({ isr: [1] })
      await cluster.start(2)
      await cluster.clock.runFor(afterMs)
      cluster.crash(2)
      cluster.change({ isr: [1] })
      await cluster.start(2)
      await cluster.until('it is in sync', () => cluster.state().isr.length === 2)
      await isWhole(cluster, 2)
    }
  })

  test('one that has no files yet copies the partition afresh, too', async () => {
    const cluster = new ClusterHarness({ replicas: [1, 2] })
    for (const id of [1, 2]) await cluster.start(id)
    cluster.elect(1)
    await cluster.clock.run(cluster.node(2).manager.storage.checkpoints.run(false))
    for (const value of ['a', 'b', 'c', 'd']) {
      await cluster.appended(1, [value])
      await cluster.untilCopied([1, 2])
    }
    cluster.kill(2)
    const { fileSystem } = cluster.node(2)
    expect(fileSystem.paths().filter((path) => path.startsWith(LOG))).toEqual([])
    damageJournal(fileSystem)
    cluster.change({ isr: [1] })
    await cluster.start(2)
    await cluster.until('it is in sync', () => cluster.state().isr.length === 2)
    expect(cluster.log(2)).toMatchObject({ damage: undefined, startOffset: 0, endOffset: 4 })
  })
})

/** All groups but the last, so that it cannot be taken for what a crash tore. */
function damageJournal(fileSystem: SimFileSystem): void {
  for (const path of fileSystem.paths().filter((one) => one.startsWith(`${DATA}/journal/`))) {
    const last = fileSystem.contents(path).findLastIndex((byte) => byte !== 0)
    for (let at = 60; at < last - BLOCK_BYTES; at += BLOCK_BYTES) fileSystem.flipBit(path, at, 5)
  }
}

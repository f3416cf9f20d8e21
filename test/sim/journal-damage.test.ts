/** A damaged journal: what is told, which logs it concerns, and what comes through it unharmed. */
import { expect, test } from 'vitest'
import type { TopicId } from '../../src/core/ids.ts'
import { append, DATA, ReplicaHarness, readAll, valuesOf } from '../replication/replica-harness.ts'

const BLOCK_BYTES = 4096
const JOURNAL = `${DATA}/journal`

/** A node that writes one record after the other to its topics, each as a group of its own. */
async function runningNode(names: readonly string[]) {
  const harness = new ReplicaHarness({ checkpointIntervalMs: 1e9, maxJournalBytes: 1e9 })
  const topics = names.map((name) => harness.metadata.put(name))
  const manager = await harness.open()
  const values = new Map<TopicId, string[]>(topics.map((topicId) => [topicId, []]))
  const write = async (topicId: TopicId, sizeBytes = 100) => {
    const known = values.get(topicId) as string[]
    const value = `${known.length}:${'x'.repeat(sizeBytes)}`
    expect(await append(manager, topicId, [value])).toMatchObject({ ok: true })
    known.push(value)
  }
  return { harness, manager, topics, values, write }
}

type Running = Awaited<ReturnType<typeof runningNode>>

/** Bytes in use of the journal's first file. */
function usedBytes({ harness }: Running, slot = 0): number {
  const bytes = harness.fileSystem.contents(`${JOURNAL}/${slot}`)
  return (Math.floor(bytes.findLastIndex((byte) => byte !== 0) / BLOCK_BYTES) + 1) * BLOCK_BYTES
}

/** Each log that is not marked has all that was acknowledged; the marked ones are given back. */
async function restarted({ harness, topics, values }: Running): Promise<TopicId[]> {
  const manager = await harness.open()
  const damaged: TopicId[] = []
  for (const topicId of topics) {
    if (manager.storage.find(topicId, 0)?.damage !== undefined) damaged.push(topicId)
    else expect(valuesOf(await readAll(manager, topicId))).toEqual(values.get(topicId))
  }
  await manager.close()
  return damaged
}

async function zero({ harness }: Running, slot: number, from = 0): Promise<void> {
  const file = await harness.fileSystem.open(`${JOURNAL}/${slot}`, 'create')
  await file.writeAt([new Uint8Array((await file.sizeBytes()) - from)], from)
  await file.close()
}

/** Records that fill one file of the journal and begin another. */
async function overTwoFiles(): Promise<Running> {
  const node = await runningNode(['a', 'b'])
  for (let i = 0; i < 7; i++) await node.write(node.topics[i % 2] as TopicId, 9000)
  expect(usedBytes(node, 0)).toBeGreaterThan(0)
  expect(usedBytes(node, 1)).toBeGreaterThan(0)
  return node
}

test('a journal without its last file is damaged, not torn', async () => {
  const node = await overTwoFiles()
  node.harness.kill()
  await node.harness.fileSystem.remove(`${JOURNAL}/1`)
  expect(await restarted(node)).toEqual(node.topics)
  // It stays so.
  expect(await restarted(node)).toEqual(node.topics)
})

test('so is one whose last file has none of its bytes', async () => {
  const node = await overTwoFiles()
  node.harness.kill()
  await zero(node, 1)
  expect(await restarted(node)).toEqual(node.topics)
})

test('wherever either of two files ends, nothing that was in the other is lost in silence', async () => {
  const cuts: string[] = []
  for (const slot of [0, 1]) {
    const used = usedBytes(await overTwoFiles(), slot)
    for (let from = 0; from <= used; from += BLOCK_BYTES / 2) {
      const node = await overTwoFiles()
      node.harness.kill()
      await zero(node, slot, from)
      const manager = await node.harness.open()
      let outcome = 'whole'
      for (const topicId of node.topics) {
        const expected = node.values.get(topicId) as string[]
        if (manager.storage.find(topicId, 0)?.damage !== undefined) outcome = 'damaged'
        else {
          const found = valuesOf(await readAll(manager, topicId))
          expect(found).toEqual(expected.slice(0, found.length))
          // Only the end of the newest file can be a tear.
          if (found.length < expected.length) outcome = slot === 1 ? 'torn' : 'LOST'
        }
      }
      cuts.push(`${slot} ${outcome}`)
    }
  }
  expect(new Set(cuts)).toEqual(new Set(['0 damaged', '0 whole', '1 damaged', '1 torn', '1 whole']))
  // The group that the link names is found to be missing as long as a byte of it is.
  expect(cuts.filter((cut) => cut === '1 damaged').length).toBeGreaterThan(3)
})

test('and one whose only file has none of its bytes, from the first record on', async () => {
  const node = await runningNode(['a', 'b'])
  for (const topicId of node.topics) await node.write(topicId)
  node.harness.kill()
  await zero(node, 0)
  expect(await restarted(node)).toEqual(node.topics)
})

test('also behind a checkpoint in the middle of the file', async () => {
  const node = await runningNode(['a', 'b'])
  for (const topicId of node.topics) await node.write(topicId)
  await node.manager.storage.checkpoints.run(false)
  for (const topicId of node.topics) await node.write(topicId)
  node.harness.kill()
  await zero(node, 0)
  expect(await restarted(node)).toEqual(node.topics)
})

test('after a stop in good order nothing of the journal is needed', async () => {
  const node = await runningNode(['a', 'b'])
  for (const topicId of node.topics) await node.write(topicId)
  await node.manager.close()
  await zero(node, 0)
  expect(await restarted(node)).toEqual([])
})

test('an unreadable group marks the logs that it was about, and no others', async () => {
  const marks: string[] = []
  for (let block = 0; ; block++) {
    const node = await runningNode(['a', 'b', 'c'])
    const [a, b, c] = node.topics as [TopicId, TopicId, TopicId]
    for (const topicId of [a, b, c, a]) await node.write(topicId)
    await node.harness.clock.runFor(200)
    const used = usedBytes(node)
    node.harness.kill()
    if (block * BLOCK_BYTES >= used) break
    node.harness.fileSystem.flipBit(`${JOURNAL}/0`, block * BLOCK_BYTES + 60, 3)
    const damaged = await restarted(node)
    marks.push(damaged.map((topicId) => 'abc'[node.topics.indexOf(topicId)]).join(''))
  }
  // The opening, the three creations, a record each, the seal: a is known to be cut by what follows.
  expect(marks.filter((mark) => mark !== '')).toEqual(['a', 'b', 'c', 'a'])
})

test('deleted records do not come back out of a damaged journal', async () => {
  let raised = 0
  for (let block = 0; ; block++) {
    const node = await runningNode(['a', 'b'])
    const [a, b] = node.topics as [TopicId, TopicId]
    for (const topicId of [a, a, a, b]) await node.write(topicId)
    await node.manager.deleteRecords(a, 0, 2)
    for (const topicId of [a, b]) await node.write(topicId)
    await node.harness.clock.runFor(200)
    const used = usedBytes(node)
    node.harness.kill()
    if (block * BLOCK_BYTES >= used) break
    node.harness.fileSystem.flipBit(`${JOURNAL}/0`, block * BLOCK_BYTES + 60, 3)
    const manager = await node.harness.open()
    const log = manager.storage.find(a, 0)
    if (log?.damage === undefined) {
      raised++
      expect(log?.startOffset).toBe(2)
      expect(valuesOf(await readAll(manager, a, 2))).toEqual(node.values.get(a)?.slice(2))
    }
    await manager.close()
  }
  expect(raised).toBeGreaterThan(4)
})

test('a topic that was made in an unreadable group is there, and whole if its records are', async () => {
  const node = await runningNode(['a'])
  const made = node.harness.metadata.put('late')
  node.topics.push(made)
  node.values.set(made, [])
  await node.harness.clock.runFor(10)
  const creation = usedBytes(node) - BLOCK_BYTES
  await node.write(made)
  await node.write(node.topics[0] as TopicId)
  node.harness.kill()
  node.harness.fileSystem.flipBit(`${JOURNAL}/0`, creation + 60, 1)
  expect(await restarted(node)).toEqual([])
})

import { expect, test } from 'vitest'
import type { TopicId } from '../../src/core/ids.ts'
import type { ReplicaManager } from '../../src/replication/replica-manager.ts'
import { DataDirectoryError } from '../../src/storage/node-identity.ts'
import { append, DATA, ReplicaHarness, readAll, valuesOf } from '../replication/replica-harness.ts'

/** Reads from disk only; indexes are many and small. */
const COLD = { memoryBytes: 0 }

async function fill(manager: ReplicaManager, topicId: TopicId, batches: number): Promise<string[]> {
  const values: string[] = []
  for (let i = 0; i < batches; i++) {
    const value = `${i}:${'x'.repeat(i % 7 === 0 ? 1500 : 40)}`
    values.push(value)
    await append(manager, topicId, [value], { timestampMs: 1000 + i })
  }
  return values
}

/** A closed folder with one log of two segments, and what it holds. */
async function closedFolder() {
  const harness = new ReplicaHarness(COLD)
  const topicId = harness.metadata.put('t', { segmentBytes: 12_000, retentionMs: -1 })
  const manager = await harness.open()
  const values = await fill(manager, topicId, 64)
  await manager.close()
  const directory = `${DATA}/logs/t-0.${topicId}`
  return { harness, topicId, values, directory }
}

test('a flipped bit in a segment is never read as data and never shortens the log', async () => {
  const { harness, topicId, values, directory } = await closedFolder()
  const path = `${directory}/${'0'.padStart(20, '0')}.log`
  const size = harness.fileSystem.contents(path).length
  let damaged = 0
  for (let at = 0; at < size; at += 7) {
    harness.fileSystem.flipBit(path, at, at % 8)
    const manager = await harness.open()
    expect(manager.offsets(topicId, 0).highWatermark).toBe(values.length)
    const read = await readAll(manager, topicId).catch((error: unknown) => String(error))
    if (typeof read === 'string') {
      damaged++
      expect(read).toContain('partition-damaged')
    } else expect(valuesOf(read)).toEqual(values)
    await manager.close()
    harness.fileSystem.flipBit(path, at, at % 8)
  }
  expect(damaged).toBe(Math.ceil(size / 7))
})

test.each(['index', 'timeindex'])(
  'a flipped bit in an %s file changes no answer',
  async (extension) => {
    const { harness, topicId, values, directory } = await closedFolder()
    const names = (await harness.fileSystem.list(directory)).filter((name) =>
      name.endsWith(`.${extension}`),
    )
    expect(names.length).toBeGreaterThan(0)
    const path = `${directory}/${names[0]}`
    const size = harness.fileSystem.contents(path).length
    expect(size).toBeGreaterThan(8)
    for (let at = 0; at < size; at++) {
      for (const bit of [0, 3, 7]) {
        const before = harness.fileSystem.contents(path)
        harness.fileSystem.flipBit(path, at, bit)
        const manager = await harness.open()
        for (const offset of [0, 3, 9, 14, 20]) {
          expect(valuesOf(await readAll(manager, topicId, offset))).toEqual(values.slice(offset))
          const found = await manager.resolveOffset(topicId, 0, { timeMs: 1000 + offset })
          expect(found.offset).toBe(offset)
        }
        await manager.close()
        const file = await harness.fileSystem.open(path, 'create')
        await file.writeAt([before], 0)
        await file.close()
      }
    }
  },
)

test('a missing or foreign index is made again', async () => {
  const { harness, topicId, values, directory } = await closedFolder()
  const names = await harness.fileSystem.list(directory)
  for (const name of names.filter((one) => one.endsWith('index'))) {
    await harness.fileSystem.remove(`${directory}/${name}`)
  }
  const other = names.find((name) => name.endsWith('.index'))
  const file = await harness.fileSystem.open(`${directory}/${other}`, 'create')
  await file.writeAt([Uint8Array.of(0, 0, 0, 5, 0, 0, 1, 0, 0, 0, 0, 9, 0, 0, 4, 0)], 0)
  await file.close()
  const manager = await harness.open()
  for (let offset = 0; offset < values.length; offset += 5) {
    expect(valuesOf(await readAll(manager, topicId, offset))).toEqual(values.slice(offset))
  }
})

test('a flipped bit in the checkpoint is healed by its other copy', async () => {
  const { harness, topicId, values } = await closedFolder()
  const path = `${DATA}/checkpoint`
  const size = harness.fileSystem.contents(path).length
  for (let at = 0; at < size; at += 3) {
    harness.fileSystem.flipBit(path, at, at % 8)
    const manager = await harness.open()
    expect(manager.offsets(topicId, 0).highWatermark).toBe(values.length)
    await manager.close()
  }
  const manager = await harness.open()
  expect(valuesOf(await readAll(manager, topicId))).toEqual(values)
})

test('a checkpoint of which both copies are damaged, or that is gone, stops the start', async () => {
  const { harness } = await closedFolder()
  const path = `${DATA}/checkpoint`
  const size = harness.fileSystem.contents(path).length
  harness.fileSystem.flipBit(path, 100, 0)
  harness.fileSystem.flipBit(path, size / 2 + 100, 0)
  await expect(harness.open()).rejects.toThrow(DataDirectoryError)
  await harness.fileSystem.remove(path)
  await expect(harness.open()).rejects.toThrow(/no checkpoint/)
})

test('a flipped bit in node.json stops the start', async () => {
  const { harness } = await closedFolder()
  const path = `${DATA}/node.json`
  const size = harness.fileSystem.contents(path).length
  for (let at = 0; at < size; at++) {
    harness.fileSystem.flipBit(path, at, at % 8)
    await expect(harness.open(), `byte ${at}`).rejects.toThrow(DataDirectoryError)
    harness.fileSystem.flipBit(path, at, at % 8)
  }
})

/** A killed node whose records are in the journal only. */
async function killedNode() {
  const harness = new ReplicaHarness()
  const topics = ['a', 'b', 'c'].map((name) => harness.metadata.put(name))
  const manager = await harness.open()
  const values = new Map<TopicId, string[]>()
  for (let i = 0; i < 9; i++) {
    const topicId = topics[i % 3] as TopicId
    await append(manager, topicId, [`${i}:${'x'.repeat(100)}`])
    values.set(topicId, [...(values.get(topicId) ?? []), `${i}:${'x'.repeat(100)}`])
  }
  await harness.clock.runFor(200)
  harness.crash()
  return { harness, values }
}

test('a flipped bit in the journal loses nothing silently, also in the newest group', async () => {
  const { harness } = await killedNode()
  const used = harness.fileSystem.contents(`${DATA}/journal/0`).findLastIndex((byte) => byte !== 0)
  expect(used).toBeGreaterThan(9 * 4096)
  let damaged = 0
  for (let at = 0; at <= used; at += 41) {
    const { harness: node, values } = await killedNode()
    node.fileSystem.flipBit(`${DATA}/journal/0`, at, at % 8)
    const manager = await node.open()
    for (const [topicId, expected] of values) {
      const damage = manager.storage.find(topicId, 0)?.damage
      if (damage === undefined) expect(valuesOf(await readAll(manager, topicId))).toEqual(expected)
      else {
        damaged++
        expect(await append(manager, topicId, ['more'])).toMatchObject({
          code: 'partition-damaged',
        })
        // Damage outlives a restart; only a repair takes it away.
        await manager.close()
        const again = await node.open()
        expect(again.storage.find(topicId, 0)?.damage).toBe(damage)
        expect(await node.fileSystem.list(`${DATA}/quarantine`)).toHaveLength(1)
        break
      }
    }
  }
  expect(damaged).toBeGreaterThan(20)
})

test('whatever prefix of the journal is left, each log holds a prefix of its records', async () => {
  const blocks = 24
  for (let left = 0; left <= blocks; left++) {
    const { harness, values } = await killedNode()
    const file = await harness.fileSystem.open(`${DATA}/journal/0`, 'create')
    const size = await file.sizeBytes()
    await file.writeAt([new Uint8Array(Math.max(0, size - left * 2048))], left * 2048)
    await file.close()
    const manager = await harness.open()
    for (const [topicId, expected] of values) {
      const damage = manager.storage.find(topicId, 0)?.damage
      // That the journal has begun was durable before the first record: no crash takes it away.
      expect(damage !== undefined).toBe(left === 0)
      if (damage !== undefined) continue
      const found = valuesOf(await readAll(manager, topicId))
      expect(found).toEqual(expected.slice(0, found.length))
    }
  }
})

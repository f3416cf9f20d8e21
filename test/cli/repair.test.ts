import { expect, test } from 'vitest'
import { dump } from '../../src/cli/dump.ts'
import { repair } from '../../src/cli/repair.ts'
import type { TopicId } from '../../src/core/ids.ts'
import { writeLastRegistration } from '../../src/storage/last-registration.ts'
import { append, DATA, ReplicaHarness, readAll } from '../replication/replica-harness.ts'
import { CompactedTopic } from '../storage/compacted-topic.ts'

const FIRST_SEGMENT = `${'0'.padStart(20, '0')}.log`

async function folder() {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('orders', { segmentBytes: 4096, retentionMs: -1 })
  const manager = await harness.open()
  const values: string[] = []
  for (let i = 0; i < 60; i++) {
    values.push(`${i}:${'x'.repeat(200)}`)
    await append(manager, topicId, [values[i] as string], { timestampMs: 1000 + i })
  }
  return { harness, topicId, values, manager, directory: `${DATA}/logs/orders-0.${topicId}` }
}

async function closedFolder() {
  const made = await folder()
  await made.manager.close()
  return made
}

async function run(
  harness: ReplicaHarness,
  apply: boolean,
  rebuildMetadata = false,
): Promise<{ code: number; lines: string[] }> {
  const lines: string[] = []
  const deps = {
    fileSystem: harness.fileSystem,
    clock: harness.clock,
    random: harness.random,
    logger: harness.logger,
    write: (line: string) => lines.push(line),
  }
  const code = await repair(deps, { dataDirectory: DATA, apply, rebuildMetadata })
  return { code, lines }
}

async function checkWithout(
  harness: ReplicaHarness,
  topicId: TopicId,
  values: readonly string[],
  lost: readonly number[],
): Promise<void> {
  const manager = await harness.open()
  const expected = values
    .map((value, offset) => ({ offset, value }))
    .filter(({ offset }) => !lost.includes(offset))
  expect(await readAll(manager, topicId)).toEqual(expected)
  expect(await append(manager, topicId, ['next'])).toMatchObject({
    ok: true,
    baseOffset: values.length,
  })
  await manager.close()
}

test('a folder in order needs no repair', async () => {
  const { harness } = await closedFolder()
  expect(await run(harness, false)).toEqual({
    code: 0,
    lines: [`${DATA}: no damage found in 1 logs`],
  })
})

test('a folder in use is left alone', async () => {
  const { harness } = await folder()
  expect(await run(harness, true)).toMatchObject({ code: 2, lines: [/in use/] })
})

test('a damaged batch costs its records, and no others', async () => {
  const { harness, topicId, values, directory } = await closedFolder()
  const path = `${directory}/${FIRST_SEGMENT}`
  harness.fileSystem.flipBit(path, 700, 3)
  const before = harness.fileSystem.contents(path)
  const shown = await run(harness, false)
  expect(shown).toMatchObject({ code: 1 })
  expect(shown.lines[0]).toMatch(/^orders-0: records 2-2 lost; \d+ damaged bytes at \d+ of /)
  expect(harness.fileSystem.contents(path)).toEqual(before)
  expect(await run(harness, true)).toMatchObject({ code: 0 })
  expect(await harness.fileSystem.list(`${DATA}/quarantine`)).toHaveLength(1)
  await checkWithout(harness, topicId, values, [2])
  expect(await run(harness, false)).toMatchObject({ code: 0 })
})

test('several damages in several segments, a missing segment and a short one are mended in one go', async () => {
  const { harness, topicId, values, directory } = await closedFolder()
  const names = (await harness.fileSystem.list(directory)).filter((name) => name.endsWith('.log'))
  const [first, second, third] = names as [string, string, string]
  harness.fileSystem.flipBit(`${directory}/${first}`, 20, 1)
  harness.fileSystem.flipBit(`${directory}/${first}`, 1500, 1)
  await harness.fileSystem.remove(`${directory}/${second}`)
  const lastName = names.at(-1) as string
  const last = await harness.fileSystem.open(`${directory}/${lastName}`, 'create')
  await last.truncate((await last.sizeBytes()) - 10)
  await last.close()
  expect(await run(harness, true)).toMatchObject({ code: 0 })
  const missing = Array.from(
    { length: Number(third.slice(0, 20)) - Number(second.slice(0, 20)) },
    (_, i) => Number(second.slice(0, 20)) + i,
  )
  await checkWithout(harness, topicId, values, [0, 5, ...missing, values.length - 1])
})

test('a log marked for a damaged journal is taken up where it can be known to end', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('orders')
  let manager = await harness.open()
  for (let i = 0; i < 6; i++) await append(manager, topicId, [`${i}`])
  await harness.clock.runFor(200)
  harness.crash()
  harness.fileSystem.flipBit(`${DATA}/journal/0`, 4 * 4096 + 100, 0)
  const shown = await run(harness, false)
  expect(shown.code).toBe(1)
  expect(shown.lines[0]).toMatch(/^journal: /)
  manager = await harness.open()
  const { damage } = manager.storage.find(topicId, 0) ?? {}
  expect(damage).toBeDefined()
  await manager.close()
  const applied = await run(harness, true)
  expect(applied.code).toBe(0)
  expect(applied.lines.join('\n')).toContain(damage)
  manager = await harness.open()
  const left = await readAll(manager, topicId)
  expect(left.map(({ value }) => value)).toEqual(['0', '1', '2'].slice(0, left.length))
  expect(left.length).toBeGreaterThan(0)
  expect(await append(manager, topicId, ['next'])).toMatchObject({
    ok: true,
    baseOffset: left.length,
  })
  // Readers that had seen more can tell: those offsets belong to another epoch now.
  expect(manager.offsets(topicId, 0).leaderEpoch).toBe(1)
})

test('node.json is restored from the checkpoint', async () => {
  const { harness, topicId, values } = await closedFolder()
  harness.fileSystem.flipBit(`${DATA}/node.json`, 20, 1)
  await expect(harness.open()).rejects.toThrow(/repair/)
  expect(await run(harness, false)).toMatchObject({ code: 1 })
  expect(await run(harness, true)).toMatchObject({ code: 0 })
  await checkWithout(harness, topicId, values, [])
})

test('a checkpoint that is gone is made again from the segments', async () => {
  const { harness, topicId, values } = await closedFolder()
  await harness.fileSystem.remove(`${DATA}/checkpoint`)
  expect(await run(harness, true)).toMatchObject({ code: 0 })
  await checkWithout(harness, topicId, values, [])
})

test('of a compacted log those segments count that took the place of others', async () => {
  const topic = await CompactedTopic.open(new ReplicaHarness({ memoryBytes: 0 }))
  for (let i = 0; i < 3; i++) {
    await topic.append(['a', `${i}`], ['t', null], [`${i}`, 'x'])
    await topic.close()
  }
  await topic.append(['last', '1'])
  await topic.compact()
  const before = await topic.read()
  const { harness } = topic
  await harness.clock.run(topic.manager.storage.write(topic.log))
  const files = (await harness.fileSystem.list(topic.log.directory)).filter((name) =>
    name.endsWith('.log'),
  )
  expect(files).toHaveLength(5)
  harness.kill()
  await harness.fileSystem.remove(`${DATA}/checkpoint`)
  expect((await run(harness, true)).code).toBe(0)
  await topic.reopen(() => undefined)
  expect(topic.log.damage).toBeUndefined()
  expect(await topic.read()).toEqual(before)
  const lines: string[] = []
  const path = `${topic.log.directory}/${files.find((name) => name.includes('.1.'))}`
  const deps = { ...harness, fileSystem: harness.fileSystem, clock: harness.clock }
  expect(await dump({ ...deps, write: (line) => lines.push(line) }, path)).toBe(0)
  expect(lines.join('\n')).toContain('tombstones until 2026-01-01T00:00:01')
})

test('without its journal a log ends with the last checkpoint', async () => {
  const { harness, topicId, values, manager } = await folder()
  await manager.storage.checkpoints.run(false)
  await append(manager, topicId, ['in the journal only'])
  harness.kill()
  for (const name of await harness.fileSystem.list(`${DATA}/journal`)) {
    await harness.fileSystem.remove(`${DATA}/journal/${name}`)
  }
  await expect(harness.open()).rejects.toThrow(/journal.* is missing.*repair/)
  expect(await run(harness, false)).toMatchObject({
    code: 1,
    lines: [/^journal: .* is missing$/, /are lost/, /--apply/],
  })
  expect(await run(harness, true)).toMatchObject({ code: 0 })
  await checkWithout(harness, topicId, values, [])
})

test('without identity and checkpoint nothing is done', async () => {
  const { harness } = await closedFolder()
  await harness.fileSystem.remove(`${DATA}/checkpoint`)
  await harness.fileSystem.remove(`${DATA}/node.json`)
  expect(await run(harness, true)).toMatchObject({ code: 2 })
})

test('prints every kind of file, and says what is not valid', async () => {
  const { harness, directory } = await closedFolder()
  const lines: string[] = []
  const deps = { fileSystem: harness.fileSystem, write: (line: string) => lines.push(line) }
  const paths = [
    ...(await harness.fileSystem.list(directory)).map((name) => `${directory}/${name}`),
    `${DATA}/checkpoint`,
    `${DATA}/journal/0`,
  ]
  for (const path of paths) expect(await dump(deps, path), path).toBe(0)
  const text = lines.join('\n')
  expect(text).toContain(
    'offsets 0-0  records 1  bytes 272  epoch 0  time 1970-01-01T00:00:01.000Z',
  )
  expect(text).toMatch(/frame \d+ {2}log 1 {2}append {2}offsets 59-59/)
  expect(text).toMatch(/closing seal/)
  lines.length = 0
  harness.fileSystem.flipBit(`${directory}/${FIRST_SEGMENT}`, 300, 0)
  expect(await dump(deps, `${directory}/${FIRST_SEGMENT}`)).toBe(1)
  expect(lines[1]).toMatch(/DAMAGED/)
  expect(lines[2]).toMatch(/offsets 2-2/)
  expect(await dump(deps, `${DATA}/node.json`)).toBe(2)
  expect(await dump(deps, `${DATA}/nothing`)).toBe(2)
})

test('makes no metadata for a storage node, whose cluster has them', async () => {
  const { harness } = await closedFolder()
  await writeLastRegistration(harness.fileSystem, DATA, 7)
  const { code, lines } = await run(harness, true, true)
  expect(code).toBe(2)
  expect(lines).toEqual([
    `${DATA} belongs to a storage node, whose cluster has its metadata in etcd`,
  ])
  expect(await harness.fileSystem.size(`${DATA}/metadata.db`)).toBeUndefined()
})

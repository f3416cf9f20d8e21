import { expect, test, vi } from 'vitest'
import { readCheckpoint } from '../../src/storage/checkpoint.ts'
import {
  append,
  DATA,
  NEVER,
  ReplicaHarness,
  readAll,
  request,
  valuesOf,
} from '../replication/replica-harness.ts'

/** Lets the test decide when durable writes, or syncs of segments, go on. */
class Brake {
  #closed: PromiseWithResolvers<void> | undefined

  constructor(harness: ReplicaHarness) {
    const { fileSystem } = harness
    const openDurable = fileSystem.openDurable.bind(fileSystem)
    fileSystem.openDurable = async (path, sizeBytes) => {
      const file = await openDurable(path, sizeBytes)
      const write: typeof file.write = async (parts, position) => {
        await this.#closed?.promise
        await file.write(parts, position)
      }
      return { ...file, write }
    }
  }

  on(): void {
    this.#closed = Promise.withResolvers()
  }

  off(): void {
    this.#closed?.resolve()
    this.#closed = undefined
  }
}

/** Segments (of the topic) are not synced before the returned function is called. */
function holdSyncs({ fileSystem }: ReplicaHarness, topicName = ''): () => void {
  const { promise, resolve } = Promise.withResolvers<void>()
  const open = fileSystem.open.bind(fileSystem)
  fileSystem.open = async (path, mode) => {
    const file = await open(path, mode)
    if (!path.endsWith('.log') || !path.includes(`/logs/${topicName}`)) return file
    const syncData = async () => {
      await promise
      await file.syncData()
    }
    return { ...file, syncData }
  }
  return resolve
}

async function isSettled(harness: ReplicaHarness, promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  const settle = () => {
    settled = true
  }
  promise.then(settle, settle)
  await harness.clock.runFor(1)
  return settled
}

test('a checkpoint is made after the journal has refused what waited for it', async () => {
  const harness = new ReplicaHarness({ maxUnwrittenBytes: 1e6, memoryBytes: 1e6 })
  const topicId = harness.metadata.put('t')
  const manager = await harness.open()
  harness.fileSystem.fault = ({ kind }) => (kind === 'durable-open' ? 'ENOSPC' : undefined)
  const requests = Array.from({ length: 60 }, (_, i) =>
    request(topicId, [`${i}:${'x'.repeat(3000)}`]),
  )
  const answers = await Promise.all(manager.append(requests, NEVER))
  const acknowledged = answers.filter(({ ok }) => ok).length
  expect(answers.at(-1)).toMatchObject({ code: 'disk-full', committed: 'no' })
  const { appender, checkpoints } = manager.storage
  // Asked without end it would never let go of the process.
  const journaled = appender.journaled.bind(appender)
  let asked = 0
  vi.spyOn(appender, 'journaled').mockImplementation(() => {
    if (++asked > 10) throw new Error('the checkpoint asks for ever')
    return journaled()
  })
  await checkpoints.run(false)
  harness.crash()
  const again = await harness.open()
  expect(await readAll(again, topicId)).toHaveLength(acknowledged)
})

test('a start that fails at its first checkpoint leaves the journal to the next one', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t')
  const manager = await harness.open()
  await append(manager, topicId, ['a'])
  harness.kill()
  harness.fileSystem.fault = ({ kind, path }) =>
    kind === 'rename' && path.includes('/checkpoint') ? 'EIO' : undefined
  await expect(harness.open()).rejects.toThrow('EIO')
  harness.kill()
  const again = await harness.open()
  expect(valuesOf(await readAll(again, topicId))).toEqual(['a'])
})

test('a checkpoint passes while records that flushed to the operating system are being synced', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t', { flush: 'os' })
  const manager = await harness.open()
  const release = holdSyncs(harness)
  await append(manager, topicId, ['written'])
  harness.metadata.put('t', { flush: 'commit' })
  const journaled = append(manager, topicId, ['journaled'])
  expect(await isSettled(harness, journaled)).toBe(false)
  const checkpoint = manager.storage.checkpoints.run(false)
  expect(await isSettled(harness, checkpoint)).toBe(false)
  release()
  await checkpoint
  expect(await journaled).toMatchObject({ ok: true, baseOffset: 1 })
  expect(harness.fatal).toEqual([])
})

test('what the journal has is not taken back when it refuses more, even before it is promised', async () => {
  const harness = new ReplicaHarness({ maxUnwrittenBytes: 1e6, memoryBytes: 1e6 })
  const topicId = harness.metadata.put('t', { flush: 'os' })
  const manager = await harness.open()
  const release = holdSyncs(harness)
  await append(manager, topicId, ['written'])
  harness.metadata.put('t', { flush: 'commit' })
  const journaled = append(manager, topicId, ['journaled'])
  expect(await isSettled(harness, journaled)).toBe(false)
  harness.fileSystem.fault = ({ kind }) => (kind === 'durable-open' ? 'ENOSPC' : undefined)
  const requests = Array.from({ length: 60 }, (_, i) =>
    request(topicId, [`${i}:${'x'.repeat(3000)}`]),
  )
  const more = manager.append(requests, NEVER)
  expect(await more.at(-1)).toMatchObject({ code: 'disk-full', committed: 'no' })
  release()
  expect(await journaled).toMatchObject({ ok: true, baseOffset: 1 })
  const acknowledged = (await Promise.all(more)).filter(({ ok }) => ok).length
  harness.crash()
  const again = await harness.open()
  const values = valuesOf(await readAll(again, topicId))
  expect(values.slice(0, 2)).toEqual(['written', 'journaled'])
  expect(values).toHaveLength(2 + acknowledged)
})

test.each([
  ['whose creation', {}],
  ['whose way to be flushed', { existed: true }],
])(
  'nothing is promised of a log %s recovery would not know',
  async (_, { existed }: { existed?: boolean }) => {
    const harness = new ReplicaHarness()
    if (existed) harness.metadata.put('t')
    const brake = new Brake(harness)
    const manager = await harness.open()
    await harness.clock.runFor(100)
    brake.on()
    const topicId = harness.metadata.put('t', { flush: 'os' })
    const appended = append(manager, topicId, ['a'])
    expect(await isSettled(harness, appended)).toBe(false)
    brake.off()
    expect(await appended).toMatchObject({ ok: true })
    harness.kill()
    const again = await harness.open()
    expect(valuesOf(await readAll(again, topicId))).toEqual(['a'])
  },
)

test.each([1, 2, 3, 4, 5])(
  'with the change to flush on commit the names of the files are durable too (%i)',
  async (seed) => {
    const harness = new ReplicaHarness({}, seed)
    const topicId = harness.metadata.put('t', { flush: 'os' })
    const manager = await harness.open()
    await append(manager, topicId, ['a'])
    harness.metadata.put('t', { flush: 'commit' })
    expect(await append(manager, topicId, ['b'])).toMatchObject({ ok: true })
    harness.crash()
    const again = await harness.open()
    expect(valuesOf(await readAll(again, topicId))).toEqual(['a', 'b'])
  },
)

test('whoever asks for a deletion that is under way waits for it too', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t')
  const brake = new Brake(harness)
  const manager = await harness.open()
  await append(manager, topicId, ['a', 'b', 'c'])
  await harness.clock.runFor(100)
  brake.on()
  const first = manager.deleteRecords(topicId, 0, 2)
  const again = manager.deleteRecords(topicId, 0, 2)
  const less = manager.deleteRecords(topicId, 0, 1)
  expect(await isSettled(harness, Promise.race([first, again, less]))).toBe(false)
  brake.off()
  expect(await Promise.all([first, again, less])).toEqual(Array(3).fill({ logStartOffset: 2 }))
})

test.each(['commit', 'os'] as const)(
  'a checkpoint does not count on records that are deleted while it is made (%s)',
  async (flush) => {
    const harness = new ReplicaHarness()
    const topicId = harness.metadata.put('t', { flush })
    const brake = new Brake(harness)
    const manager = await harness.open()
    await append(manager, topicId, ['a', 'b', 'c'])
    await harness.clock.runFor(100)
    const checkpoint = manager.storage.checkpoints.run(false)
    brake.on()
    const deletion = manager.deleteRecords(topicId, 0, 3)
    await checkpoint
    expect(await isSettled(harness, deletion)).toBe(false)
    harness.crash()
    const again = await harness.open()
    expect(again.storage.find(topicId, 0)?.damage).toBeUndefined()
    expect(await append(again, topicId, ['d'])).toMatchObject({ ok: true, baseOffset: 3 })
  },
)

test('a log whose files go while a checkpoint is made is in none after it', async () => {
  const harness = new ReplicaHarness({ fileDeleteDelayMs: 100 })
  const kept = harness.metadata.put('kept')
  const gone = harness.metadata.put('gone')
  const manager = await harness.open()
  await append(manager, gone, ['a'])
  const { checkpoints } = manager.storage
  await checkpoints.run(false)
  const release = holdSyncs(harness)
  await append(manager, kept, ['a'])
  harness.metadata.remove('gone')
  const checkpoint = checkpoints.run(false)
  await harness.clock.runFor(200)
  release()
  await checkpoint
  const read = await readCheckpoint(harness.fileSystem, DATA)
  expect(read).toMatchObject({ state: 'found', checkpoint: { logs: [{ topicName: 'kept' }] } })
})

test.each(['commit', 'os'] as const)(
  'what comes while the file of its place is being removed is kept (%s)',
  async (flush) => {
    const harness = new ReplicaHarness({ fileDeleteDelayMs: 100 })
    const topicId = harness.metadata.put('t', { flush })
    const manager = await harness.open()
    const { storage } = manager
    await append(manager, topicId, ['a', 'b'])
    const log = storage.find(topicId, 0) as NonNullable<ReturnType<typeof storage.find>>
    await harness.clock.run(storage.write(log))
    await harness.clock.run(storage.restart(log, 0))
    const { fileSystem } = harness
    const remove = fileSystem.remove.bind(fileSystem)
    const held = Promise.withResolvers<void>()
    fileSystem.remove = async (path) => {
      await held.promise
      await remove(path)
    }
    await harness.clock.runFor(200)
    const appended = append(manager, topicId, ['c', 'd'])
    await harness.clock.runFor(1)
    const written = storage.write(log)
    await harness.clock.runFor(1)
    held.resolve()
    expect(await harness.clock.run(appended)).toMatchObject({ ok: true, baseOffset: 0 })
    await harness.clock.run(written)
    await harness.clock.run(storage.checkpoints.run(false))
    harness.crash()
    const again = await harness.open()
    expect(again.storage.find(topicId, 0)?.damage).toBeUndefined()
    expect(valuesOf(await readAll(again, topicId))).toEqual(['c', 'd'])
  },
)

test('deleted logs do not wait to be written', async () => {
  const harness = new ReplicaHarness()
  const manager = await harness.open()
  for (let i = 0; i < 20; i++) {
    const topicId = harness.metadata.put(`t${i}`)
    await append(manager, topicId, ['a'])
    expect(manager.storage.unwrittenLogs).toBe(1)
    harness.metadata.remove(`t${i}`)
  }
  expect(manager.storage.unwrittenLogs).toBe(0)
})

test('what is on its way to the journal is not refused because the segment has no space', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t')
  const brake = new Brake(harness)
  const manager = await harness.open()
  await append(manager, topicId, ['before'])
  await harness.clock.runFor(100)
  brake.on()
  const appended = append(manager, topicId, ['on its way'])
  harness.fileSystem.fault = ({ kind, path }) =>
    kind === 'write' && path.endsWith('.log') ? 'ENOSPC' : undefined
  harness.metadata.put('t', { flush: 'os' })
  expect(await isSettled(harness, appended)).toBe(false)
  brake.off()
  expect(await appended).toMatchObject({ ok: true, baseOffset: 1 })
  harness.kill()
  const again = await harness.open()
  expect(valuesOf(await readAll(again, topicId))).toEqual(['before', 'on its way'])
})

test.each([1, 2, 3, 4, 5])(
  'a power failure amid the change to flush on commit damages nothing (%i)',
  async (seed) => {
    const harness = new ReplicaHarness({}, seed)
    const topicId = harness.metadata.put('t', { flush: 'os' })
    const manager = await harness.open()
    await append(manager, topicId, ['written'])
    holdSyncs(harness)
    const { fileSystem } = harness
    const syncDirectory = fileSystem.syncDirectory.bind(fileSystem)
    fileSystem.syncDirectory = (path) =>
      path.includes('/logs') ? new Promise(() => undefined) : syncDirectory(path)
    harness.metadata.put('t', { flush: 'commit' })
    expect(await isSettled(harness, append(manager, topicId, ['promised?']))).toBe(false)
    harness.crash()
    const again = await harness.open()
    const values = valuesOf(await readAll(again, topicId))
    expect(['written', 'promised?'].slice(0, values.length)).toEqual(values)
    const next = await append(again, topicId, ['next'])
    expect(next).toMatchObject({ ok: true, baseOffset: values.length })
    harness.crash()
    const last = await harness.open()
    expect(valuesOf(await readAll(last, topicId))).toEqual([...values, 'next'])
  },
)

test('a checkpoint does not count on records that were refused, also when the log flushes on commit by then', async () => {
  const harness = new ReplicaHarness({ checkpointIntervalMs: 1e9 })
  const first = harness.metadata.put('first')
  const topicId = harness.metadata.put('t', { flush: 'os' })
  const manager = await harness.open()
  const { checkpoints } = manager.storage
  await append(manager, topicId, ['kept'])
  await checkpoints.run(false)
  const release = holdSyncs(harness, 'first')
  await append(manager, first, ['a'])
  harness.fileSystem.fault = ({ kind, path }) =>
    kind === 'write' && path.includes('/logs/t-') ? 'ENOSPC' : undefined
  const refused = append(manager, topicId, ['refused', 'x'.repeat(500)])
  // It has the log with these records, and comes to write it after the other one.
  const checkpoint = checkpoints.run(false)
  expect(await refused).toMatchObject({ ok: false, code: 'disk-full', committed: 'no' })
  harness.fileSystem.fault = () => undefined
  await harness.clock.runFor(5000)
  harness.metadata.put('t', { flush: 'commit' })
  for (const value of ['b', 'c', 'd']) {
    expect(await append(manager, topicId, [value])).toMatchObject({ ok: true })
  }
  release()
  await checkpoint
  harness.crash()
  const again = await harness.open()
  expect(valuesOf(await readAll(again, topicId))).toEqual(['kept', 'b', 'c', 'd'])
  expect(valuesOf(await readAll(again, first))).toEqual(['a'])
})

/** A node whose journal is damaged where it has the creation of a log, with records behind it. */
async function withoutCreation() {
  const harness = new ReplicaHarness()
  const manager = await harness.open()
  const topicId = harness.metadata.put('t')
  await append(manager, topicId, ['a'])
  await append(manager, topicId, ['b'])
  await harness.clock.runFor(100)
  harness.kill()
  // The group with the creation, and the next one, which repeats it.
  harness.fileSystem.flipBit(`${DATA}/journal/0`, 4096 + 50, 0)
  harness.fileSystem.flipBit(`${DATA}/journal/0`, 2 * 4096 + 50, 0)
  return { harness, topicId }
}

test('a log whose creation is lost is damaged, also when the start that finds it out is cut short', async () => {
  let struck = true
  let target = 0
  for (; struck; target++) {
    const { harness, topicId } = await withoutCreation()
    let operations = 0
    harness.fileSystem.fault = () => (operations++ === target ? 'crash' : undefined)
    await Promise.race([harness.open(), harness.fileSystem.ended])
    struck = operations > target
    harness.kill()
    const again = await harness.open()
    expect(again.storage.find(topicId, 0)?.damage, `crash at ${target}`).toMatch(/may have been/)
  }
  expect(target).toBeGreaterThan(40)
})

test('a start that was on its way when the log began anew is not the durable one', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t')
  const manager = await harness.open()
  await append(manager, topicId, ['a', 'b'])
  const { storage } = manager
  const log = storage.find(topicId, 0) as NonNullable<ReturnType<typeof storage.find>>
  const raised = storage.raiseStart(log, 1)
  await harness.clock.run(Promise.all([raised, storage.appender.restart(log, 0)]))
  expect([log.startOffset, log.durableStart]).toEqual([0, 0])
})

import { expect, test } from 'vitest'
import {
  append,
  DATA,
  NEVER,
  ReplicaHarness,
  readAll,
  request,
  valuesOf,
} from './replica-harness.ts'

const big = (i: number) => [`${i}:${'x'.repeat(3000)}`]

test('X checkpoint after journal refused', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t')
  const manager = await harness.open()
  harness.fileSystem.fault = ({ kind }) => (kind === 'durable-open' ? 'ENOSPC' : undefined)
  let refused: unknown
  for (let i = 0; i < 60; i++) {
    const [a] = manager.append([request(topicId, big(i)), request(topicId, big(i))], NEVER)
    const r = await a
    if (!r?.ok) {
      refused = r
      break
    }
  }
  expect(refused).toMatchObject({ code: 'disk-full' })
  let done = false
  // A microtask loop would never end: count.
  let n = 0
  const original = manager.storage.appender.journaled.bind(manager.storage.appender)
  manager.storage.appender.journaled = async () => {
    if (++n > 1000) {
      throw new Error('loop')
    }
    return original()
  }
  await manager.storage.checkpoints.run(false).then(
    () => {
      done = true
    },
    (e) => {
      throw e
    },
  )
  expect(done).toBe(true)
})

test('UU failed first checkpoint keeps the journal', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t')
  const manager = await harness.open()
  expect(await append(manager, topicId, ['a'])).toMatchObject({ ok: true })
  harness.kill()
  harness.fileSystem.fault = ({ kind, path }) =>
    kind === 'rename' && path.includes('checkpoint') ? 'EIO' : undefined
  await expect(harness.open()).rejects.toThrow()
  harness.kill()
  const again = await harness.open()
  expect(valuesOf(await readAll(again, topicId))).toEqual(['a'])
})

function hold(harness: ReplicaHarness, kind: 'sync') {
  let open: () => void = () => undefined
  const gate = new Promise<void>((resolve) => {
    open = resolve
  })
  const fs = harness.fileSystem
  const original = fs.open.bind(fs)
  let held = 0
  fs.open = async (path, mode) => {
    const handle = await original(path, mode)
    if (!path.endsWith('.log')) return handle
    return {
      ...handle,
      syncData: async () => {
        held++
        await gate
        await handle.syncData()
      },
    }
  }
  void kind
  return { open, held: () => held }
}

test('A checkpoint during transition', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t', { flush: 'os' })
  const manager = await harness.open()
  const gate = hold(harness, 'sync')
  await append(manager, topicId, ['a'])
  harness.metadata.put('t', { flush: 'commit' })
  const second = append(manager, topicId, ['b'])
  await harness.clock.runFor(1)
  const checkpoint = manager.storage.checkpoints.run(false).catch((e) => e)
  await harness.clock.runFor(1)
  gate.open()
  await checkpoint
  expect(harness.fatal).toEqual([])
  expect(await second).toMatchObject({ ok: true })
})

function holdJournal(harness: ReplicaHarness) {
  let open: () => void = () => undefined
  let gate: Promise<void> | undefined
  const fs = harness.fileSystem
  const original = fs.openDurable.bind(fs)
  fs.openDurable = async (path, size) => {
    const file = await original(path, size)
    return {
      ...file,
      write: async (parts, position) => {
        await gate
        await file.write(parts, position)
      },
    }
  }
  return {
    hold: () => {
      gate = new Promise<void>((r) => {
        open = r
      })
    },
    open: () => {
      gate = undefined
      open()
    },
  }
}

test('P4 second deletion answered before durable', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t')
  const journal = holdJournal(harness)
  const manager = await harness.open()
  await append(manager, topicId, ['a', 'b', 'c'])
  await harness.clock.runFor(200)
  journal.hold()
  let first = false
  let second = false
  const one = manager.deleteRecords(topicId, 0, 2).then(() => {
    first = true
  })
  const two = manager.deleteRecords(topicId, 0, 2).then(() => {
    second = true
  })
  await harness.clock.runFor(1)
  expect([first, second]).toEqual([false, false])
  journal.open()
  await Promise.all([one, two])
})

test('B os acked before creation durable, killed', async () => {
  const harness = new ReplicaHarness()
  const journal = holdJournal(harness)
  const manager = await harness.open()
  await harness.clock.runFor(200)
  journal.hold()
  const topicId = harness.metadata.put('t', { flush: 'os' })
  let acked = false
  void append(manager, topicId, ['a']).then((r) => {
    acked = r.ok
  })
  await harness.clock.runFor(1)
  harness.kill()
  const again = await harness.open()
  if (acked) expect(valuesOf(await readAll(again, topicId))).toEqual(['a'])
  expect(acked).toBe(false)
})

test('B2 os acked before flush frame durable, killed', async () => {
  const harness = new ReplicaHarness()
  const journal = holdJournal(harness)
  const topicId = harness.metadata.put('t')
  const manager = await harness.open()
  await append(manager, topicId, ['0'])
  await harness.clock.runFor(200)
  journal.hold()
  harness.metadata.put('t', { flush: 'os' })
  let acked = false
  void append(manager, topicId, ['a']).then((r) => {
    acked = r.ok
  })
  await harness.clock.runFor(1)
  harness.kill()
  const again = await harness.open()
  const values = valuesOf(await readAll(again, topicId))
  if (acked) expect(values).toEqual(['0', 'a'])
})

test.each([1, 2, 3, 4, 5, 6, 7, 8])('S root unsynced at os->commit %i', async (seed) => {
  const harness = new ReplicaHarness({}, seed)
  const topicId = harness.metadata.put('t', { flush: 'os' })
  const manager = await harness.open()
  await append(manager, topicId, ['a'])
  harness.metadata.put('t', { flush: 'commit' })
  expect(await append(manager, topicId, ['b'])).toMatchObject({ ok: true })
  harness.crash()
  const again = await harness.open()
  expect(valuesOf(await readAll(again, topicId))).toEqual(['a', 'b'])
})

test('V checkpoint while the deletion is not yet durable', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t')
  const journal = holdJournal(harness)
  const manager = await harness.open()
  await append(manager, topicId, ['a', 'b', 'c'])
  await harness.clock.runFor(200)
  const running = manager.storage.checkpoints.run(false)
  journal.hold()
  void manager.deleteRecords(topicId, 0, 3)
  await running
  harness.kill()
  const again = await harness.open()
  const log = again.storage.find(topicId, 0)
  expect(log?.damage).toBeUndefined()
  expect(log?.endOffset).toBe(3)
})

test('F missing journal', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t')
  const manager = await harness.open()
  await append(manager, topicId, ['a', 'b', 'c'])
  harness.kill()
  const names = await harness.fileSystem.list(`${DATA}/journal`)
  for (const name of names) await harness.fileSystem.remove(`${DATA}/journal/${name}`)
  const outcome = await harness.open().then(
    async (m) =>
      m.storage.find(topicId, 0)?.damage ?? `end ${m.storage.find(topicId, 0)?.endOffset}`,
    (e) => `${e}`,
  )
  console.log(outcome)
  expect(outcome).not.toMatch(/^end 0/)
})

import { describe, expect, test } from 'vitest'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import { durableFileContract } from '../contract/durable-file.contract.ts'
import { fileSystemContract } from '../contract/file-system.contract.ts'
import { SimClock } from './sim-clock.ts'
import { SimFileSystem } from './sim-file-system.ts'

const bytes = (fill: number, size: number) => new Uint8Array(size).fill(fill)

async function make() {
  const fileSystem = new SimFileSystem()
  await fileSystem.makeDirectory('/data')
  await fileSystem.syncDirectory('/')
  return { fileSystem, directory: '/data', dispose: async () => undefined }
}

fileSystemContract('SimFileSystem', make)
durableFileContract('SimFileSystem', make)

/** What the sectors of a file hold after each of many crashes. */
async function outcomes(
  prepare: (fs: SimFileSystem) => Promise<unknown>,
  path = '/data/f',
): Promise<Set<string>> {
  const seen = new Set<string>()
  for (let seed = 0; seed < 200; seed++) {
    const { fileSystem } = await make()
    await prepare(fileSystem)
    const after = fileSystem.crash(new SeededRandom(seed))
    const size = await after.size(path)
    if (size === undefined) seen.add('missing')
    else {
      const contents = after.contents(path)
      let text = ''
      for (let at = 0; at < contents.length; at += 512) text += contents[at]
      seen.add(text)
    }
  }
  return seen
}

async function created(fs: SimFileSystem) {
  const file = await fs.open('/data/f', 'create')
  await fs.syncDirectory('/data')
  return file
}

describe('a crash', () => {
  test('keeps synced bytes and any sectors of the others', async () => {
    const seen = await outcomes(async (fs) => {
      const file = await created(fs)
      await file.writeAt([bytes(1, 1024)], 0)
      await file.syncData()
      await file.writeAt([bytes(2, 1024)], 0)
    })
    expect(seen).toEqual(new Set(['11', '12', '21', '22']))
  })

  test('may lose a name that was not synced, and the rename of a folder entry as a whole', async () => {
    const lost = await outcomes(async (fs) => {
      const file = await fs.open('/data/f', 'create')
      await file.writeAt([bytes(1, 512)], 0)
      await file.syncData()
    })
    expect(lost).toEqual(new Set(['1', 'missing']))
    const renamed = await outcomes(async (fs) => {
      const file = await created(fs)
      await file.writeAt([bytes(1, 512)], 0)
      await file.syncData()
      const other = await fs.open('/data/tmp', 'create')
      await other.writeAt([bytes(2, 512)], 0)
      await other.syncData()
      await fs.rename('/data/tmp', '/data/f')
    })
    expect(renamed).toEqual(new Set(['1', '2']))
  })

  test('may undo the removal of a name, and the making of a folder', async () => {
    const removed = await outcomes(async (fs) => {
      await created(fs)
      await fs.remove('/data/f')
    })
    expect(removed).toEqual(new Set(['', 'missing']))
    const folders = await outcomes(async (fs) => {
      await fs.makeDirectory('/data/d')
      await (await fs.open('/data/d/f', 'create')).close()
      await fs.syncDirectory('/data/d')
    }, '/data/d/f')
    expect(folders).toEqual(new Set(['', 'missing']))
  })

  test('keeps a finished durable write and tears one in flight', async () => {
    const seen = await outcomes(async (fs) => {
      const file = await fs.openDurable('/data/f', 4096)
      await fs.syncDirectory('/data')
      await file.write([bytes(1, 4096)], 0)
      fs.fault = () => 'crash'
      void file.write([bytes(2, 4096)], 0)
      await fs.ended
    })
    expect([...seen].every((text) => /^[12]{8}$/.test(text))).toBe(true)
    expect(seen).toContain('11111111')
    expect(seen).toContain('22222222')
    expect(seen.size).toBeGreaterThan(50)
  })

  test('ends the process: its operations never settle and change nothing', async () => {
    const { fileSystem } = await make()
    const file = await created(fileSystem)
    const after = fileSystem.crash()
    let settled = false
    void file.writeAt([bytes(1, 512)], 0).finally(() => {
      settled = true
    })
    await new Promise((resolve) => setImmediate(resolve))
    expect(settled).toBe(false)
    expect(await after.size('/data/f')).toBe(0)
  })

  test('gives locks free', async () => {
    const { fileSystem } = await make()
    await fileSystem.lock('/data/lock')
    expect(await fileSystem.crash().lock('/data/lock')).toBeDefined()
  })

  test('of the process alone keeps what was written', async () => {
    const { fileSystem } = await make()
    const file = await created(fileSystem)
    await file.writeAt([bytes(1, 512)], 0)
    expect(fileSystem.kill().contents('/data/f')).toEqual(bytes(1, 512))
  })
})

describe('a fault', () => {
  test('in a sync loses the pages although they stay readable', async () => {
    const seen = await outcomes(async (fs) => {
      const file = await created(fs)
      await file.writeAt([bytes(1, 512)], 0)
      fs.fault = ({ kind }) => (kind === 'sync' ? 'EIO' : undefined)
      await expect(file.syncData()).rejects.toMatchObject({ code: 'EIO' })
      fs.fault = () => undefined
      await file.syncData()
      expect(fs.contents('/data/f')).toEqual(bytes(1, 512))
    })
    expect([...seen]).toEqual([''])
  })

  test('can be an error of a read, or a short write', async () => {
    const { fileSystem } = await make()
    const file = await created(fileSystem)
    fileSystem.fault = ({ kind }) => (kind === 'read' ? 'EIO' : 'short')
    const written = await file.writeAt([bytes(1, 100)], 0)
    expect(written).toBeGreaterThan(0)
    expect(written).toBeLessThanOrEqual(100)
    await expect(file.readAt(bytes(0, 1), 0)).rejects.toMatchObject({ code: 'EIO' })
  })

  test('of space: short at the edge, then ENOSPC, and room again after a removal', async () => {
    const { fileSystem } = await make()
    const file = await created(fileSystem)
    fileSystem.quotaBytes = 1000
    expect(await file.writeAt([bytes(1, 600)], 0)).toBe(600)
    expect(await file.writeAt([bytes(1, 600)], 600)).toBe(400)
    await expect(file.writeAt([bytes(1, 600)], 1000)).rejects.toMatchObject({ code: 'ENOSPC' })
    expect(await file.writeAt([bytes(2, 600)], 0)).toBe(600)
    await expect(fileSystem.openDurable('/data/d', 4096)).rejects.toMatchObject({ code: 'ENOSPC' })
    await fileSystem.remove('/data/f')
    expect(await fileSystem.freeBytes('/data')).toBe(1000)
  })

  test('of the medium turns one bit over', async () => {
    const { fileSystem } = await make()
    const file = await created(fileSystem)
    await file.writeAt([bytes(0, 4)], 0)
    fileSystem.flipBit('/data/f', 2, 3)
    expect([...fileSystem.contents('/data/f')]).toEqual([0, 0, 8, 0])
  })
})

describe('on a clock', () => {
  async function order(seed: number): Promise<string> {
    const clock = new SimClock()
    const fs = new SimFileSystem({ clock, random: new SeededRandom(seed), latencyMs: 10 })
    const done: number[] = []
    const all = Array.from({ length: 8 }, async (_, i) => {
      await fs.list('/')
      done.push(i)
    })
    await clock.run(Promise.all(all))
    return done.join('')
  }

  test('completions come in an order that depends on the seed only', async () => {
    const orders = await Promise.all([1, 2, 3, 4].map(order))
    expect(new Set(orders).size).toBeGreaterThan(1)
    expect(await Promise.all([1, 2, 3, 4].map(order))).toEqual(orders)
  })
})

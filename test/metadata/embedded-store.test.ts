import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { EmbeddedStoreOptions } from '../../src/metadata/embedded-store.ts'
import { EmbeddedStore } from '../../src/metadata/embedded-store.ts'
import { CompactedError, DamagedStoreError } from '../../src/metadata/metadata-store.ts'
import { metadataStoreContract } from '../contract/metadata-store.contract.ts'
import { SimClock } from '../sim/sim-clock.ts'

metadataStoreContract('embedded', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'curlew-metadata-'))
  const clock = new SimClock()
  const open = () =>
    EmbeddedStore.open(
      { clock, onFatal: () => undefined },
      {
        path: join(directory, 'metadata.db'),
        createIfMissing: true,
        history: { events: 64, characters: 1_000_000 },
      },
    )
  let store = open()
  return {
    get store() {
      return store
    },
    reopen: async () => {
      await store.close()
      store = open()
    },
    compact: async () => {
      const keys = Array.from({ length: 64 }, (_, n) => `/scratch/${n}`)
      await store.transact({ compare: [], put: keys.map((key) => ({ key, value: '0' })) })
      await store.transact({ compare: [], put: [], remove: keys })
    },
    passTime: (durationMs) => clock.runFor(durationMs),
    close: async () => {
      await store.close()
      await rm(directory, { recursive: true })
    },
  }
})

describe('EmbeddedStore', () => {
  let directory: string
  let path: string
  let clock: SimClock
  let fatal: Error[]
  const opened: EmbeddedStore[] = []

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'curlew-metadata-'))
    path = join(directory, 'metadata.db')
    clock = new SimClock()
    fatal = []
  })
  afterEach(async () => {
    for (const store of opened.splice(0)) await store.close()
    await rm(directory, { recursive: true })
  })

  function open(options: Partial<EmbeddedStoreOptions> = {}): EmbeddedStore {
    const store = EmbeddedStore.open(
      { clock, onFatal: (error) => fatal.push(error) },
      { path, createIfMissing: true, ...options },
    )
    opened.push(store)
    return store
  }

  async function fill(count: number): Promise<void> {
    const store = open()
    for (let n = 0; n < count; n++) {
      await store.transact({ compare: [], put: [{ key: `/k/${n}`, value: `{"n":${n}}` }] })
    }
    await store.close()
  }

  /** Changes the closed file behind the store's back. */
  function tamper(sql: string): void {
    const database = new DatabaseSync(path)
    database.exec(sql)
    database.close()
  }

  test('what large transactions wrote, replaced and removed is found again', async () => {
    const keys = Array.from({ length: 3_000 }, (_, n) => `/k/${n}`)
    const put = (value: string) => keys.map((key) => ({ key, value }))
    const store = open()
    await store.transact({ compare: [], put: put('1') })
    await store.transact({ compare: [], put: put('2') })
    await store.transact({ compare: [], put: [], remove: keys.slice(1) })
    const before = await store.list('/')
    await store.close()
    expect(await open().list('/')).toEqual(before)
    expect(before.entries.map(({ key, value }) => [key, value])).toEqual([['/k/0', '2']])
  })

  test('a watcher that falls out of the history is told, however little it lacks', async () => {
    const store = open({ history: { events: 2, characters: 1_000 } })
    const put = (value: string) => store.transact({ compare: [], put: [{ key: '/a', value }] })
    const { revision } = await put('1')
    await put('2')
    const changes = store.watch('/', revision, new AbortController().signal)
    const iterator = changes[Symbol.asyncIterator]()
    expect((await iterator.next()).value.revision).toBe(revision)
    await put('3')
    await put('4')
    await expect(iterator.next()).rejects.toThrow(CompactedError)
  })

  test('a second opening is refused while the first lasts', async () => {
    const first = open()
    expect(() => open()).toThrow('another process uses')
    await first.transact({ compare: [], put: [{ key: '/a', value: '1' }] })
    expect(() => open()).toThrow('another process uses')
    await first.close()
    expect(await open().get('/a')).toMatchObject({ value: '1' })
  })

  test('a missing or emptied file is refused where the node has been used before', async () => {
    expect(() => open({ createIfMissing: false })).toThrow(DamagedStoreError)
    await fill(1)
    await open({ createIfMissing: false }).close()
    await truncate(path, 0)
    expect(() => open({ createIfMissing: false })).toThrow('used before')
  })

  test('a foreign database, one of a newer version and no database at all are refused', async () => {
    await fill(1)
    tamper('PRAGMA user_version = 2')
    expect(() => open()).toThrow('layout 2')
    tamper('PRAGMA application_id = 7')
    expect(() => open()).toThrow('not a metadata store')
    await writeFile(path, 'hello '.repeat(1000))
    expect(() => open()).toThrow(DamagedStoreError)
  })

  test.each([
    ['a changed value', `UPDATE entries SET value = '{"n":8}' WHERE key = '/k/7'`],
    ['a changed key', `UPDATE entries SET key = '/k/77' WHERE key = '/k/7'`],
    ['a changed revision', `UPDATE entries SET modRevision = 3 WHERE key = '/k/7'`],
    ['a changed checksum', `UPDATE entries SET checksum = checksum + 1 WHERE key = '/k/7'`],
    ['a lost row', `DELETE FROM entries WHERE key = '/k/7'`],
    ['a lost state', 'DELETE FROM state'],
    ['a changed state', 'UPDATE state SET revision = revision - 1'],
    ['a lost table', 'DROP TABLE entries'],
  ])('%s is refused at opening', async (_, sql) => {
    await fill(10)
    tamper(sql)
    expect(() => open()).toThrow(DamagedStoreError)
    expect(() => open()).toThrow(path)
  })

  test('an older version of a row is refused though its own checksum fits', async () => {
    await fill(3)
    const before = await readFile(path)
    const store = open()
    await store.transact({ compare: [], put: [{ key: '/k/1', value: '"new"' }] })
    await store.close()
    const after = await readFile(path)
    // A page that never reached the disk: the rows of old, beside the state of today.
    const at = before.indexOf('/k/1')
    const page = Math.floor(at / 4096) * 4096
    before.copy(after, page, page, page + 4096)
    await writeFile(path, after)
    expect(() => open()).toThrow(DamagedStoreError)
  })

  test('no flipped bit is ever misread', async () => {
    await fill(40)
    const image = await readFile(path)
    const intact = await open().list('/')
    await opened.at(-1)?.close()
    let refused = 0
    const step = Math.max(1, Math.floor(image.length / 300))
    for (let at = 0; at < image.length; at += step) {
      const damaged = Buffer.from(image)
      damaged[at]! ^= 1 << (at % 8)
      await writeFile(path, damaged)
      try {
        const store = open()
        expect(await store.list('/')).toEqual(intact)
        await store.close()
      } catch (error) {
        if (!(error instanceof Error) || error.name === 'AssertionError') throw error
        refused++
      }
    }
    expect(refused).toBeGreaterThan(20)
  })

  test('damage met while reading stops the store', async () => {
    const value = (n: number) => JSON.stringify(`${n}`.repeat(10_000))
    const keys = Array.from({ length: 600 }, (_, n) => `/k/${1000 + n}`)
    const store = open()
    await store.transact({ compare: [], put: keys.map((key, n) => ({ key, value: value(n) })) })
    const { revision } = await store.list('/none')
    const watcher = store.watch('/', revision + 1, new AbortController().signal)
    const watched = expect(watcher[Symbol.asyncIterator]().next()).rejects.toThrow('damaged')
    // The file is larger than SQLite's cache, so the first rows are no longer in memory.
    const file = await readFile(path)
    file[file.indexOf('0'.repeat(1000)) + 500] = 0x31
    await writeFile(path, file)
    await expect(store.get('/k/1000')).rejects.toThrow(DamagedStoreError)
    await watched
    expect(fatal).toHaveLength(1)
    await expect(store.get('/k/1599')).rejects.toThrow('damaged')
    expect(() => open()).toThrow(DamagedStoreError)
  })

  test('keys and values that could not be read back are refused', async () => {
    const store = open()
    const write = (key: string, value: string) =>
      store.transact({ compare: [], put: [{ key, value }] })
    await expect(write('/ü', '1')).rejects.toThrow('ASCII')
    await expect(write('', '1')).rejects.toThrow('ASCII')
    await expect(write('/a', '"\ud800"')).rejects.toThrow('JSON')
    await expect(write('/a', '"\0"')).rejects.toThrow('JSON')
    expect((await store.list('')).entries).toEqual([])
    expect(fatal).toEqual([])
  })

  test('a transaction has a bound', async () => {
    const store = open({ maxOperations: 2 })
    const put = ['/a', '/b', '/c'].map((key) => ({ key, value: '1' }))
    await expect(store.transact({ compare: [], put })).rejects.toThrow('more than 2')
    expect((await store.transact({ compare: [], put: put.slice(1) })).succeeded).toBe(true)
  })

  test('a full disk refuses the transaction, and the store goes on', async () => {
    await fill(1)
    const store = open({ maxSizeBytes: 256 * 1024 })
    const value = JSON.stringify('x'.repeat(1_000_000))
    await expect(
      store.transact({ compare: [], put: [{ key: '/big', value }] }),
    ).rejects.toMatchObject({ code: 'disk-full' })
    expect(await store.get('/big')).toBeUndefined()
    expect(
      (await store.transact({ compare: [], put: [{ key: '/a', value: '1' }] })).succeeded,
    ).toBe(true)
    expect(fatal).toEqual([])
  })

  test('every acknowledged transaction survives kill -9', async () => {
    for (let round = 0; round < 3; round++) {
      const acknowledged = await writeUntilKilled(path, 60 + round * 40)
      const store = open()
      const { entries, revision } = await store.list('/')
      expect(revision).toBeGreaterThanOrEqual(acknowledged.revision)
      // Each transaction writes the same number under three keys: all of it is there, or nothing.
      expect(new Set(entries.map((entry) => entry.value)).size).toBe(1)
      expect(Number(entries[0]?.value)).toBeGreaterThanOrEqual(acknowledged.n)
      expect(entries).toHaveLength(3)
      await store.close()
    }
  })
})

async function writeUntilKilled(path: string, transactions: number) {
  const script = fileURLToPath(new URL('./write-until-killed.ts', import.meta.url))
  const child: ChildProcess = spawn(process.execPath, [script, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let last = { n: -1, revision: 0 }
  const lines = createInterface({ input: child.stdout! })
  const exited = once(child, 'exit')
  for await (const line of lines) {
    last = JSON.parse(line)
    if (last.n % transactions === transactions - 1) child.kill('SIGKILL')
  }
  const [, signal] = await exited
  expect(signal).toBe('SIGKILL')
  return last
}

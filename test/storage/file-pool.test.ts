import { expect, test } from 'vitest'
import { FilePool } from '../../src/storage/file-pool.ts'
import { SimFileSystem } from '../sim/sim-file-system.ts'

async function pool(maxOpenFiles: number) {
  const fileSystem = new SimFileSystem()
  await fileSystem.makeDirectory('/d')
  fileSystem.traced = true
  const fatal: unknown[] = []
  const files = new FilePool(
    { fileSystem },
    { maxOpenFiles, onFatal: (error) => fatal.push(error) },
  )
  const write = (path: string) =>
    files.use(path, 'create', async (file) => {
      await file.writeAt([Uint8Array.of(1)], 0)
    })
  const read = (path: string) => files.use(path, 'read', (file) => file.sizeBytes())
  const syncs = () => fileSystem.trace.filter(({ kind }) => kind === 'sync').map(({ path }) => path)
  return { fileSystem, files, write, read, syncs, fatal }
}

test('keeps no more files open than it may, whatever happens', async () => {
  const { files, write, read } = await pool(3)
  for (let i = 0; i < 20; i++) await write(`/d/${i}`)
  expect(files.openFiles).toBe(3)
  for (let i = 0; i < 20; i++) expect(await read(`/d/${i}`)).toBe(1)
  expect(files.openFiles).toBe(3)
})

test('a file that was written to is synced before it is closed, once', async () => {
  const { files, write, syncs, read } = await pool(2)
  await write('/d/a')
  await write('/d/b')
  expect(syncs()).toEqual([])
  await write('/d/c')
  expect(syncs()).toEqual(['/d/a'])
  await files.sync('/d/a')
  await files.sync('/d/b')
  await files.sync('/d/b')
  expect(syncs()).toEqual(['/d/a', '/d/b'])
  // Now clean, it goes before the longer unused one that is not.
  await read('/d/a')
  expect(syncs()).toEqual(['/d/a', '/d/b'])
})

test('a write during a sync is not taken for synced', async () => {
  const { files, write, syncs } = await pool(2)
  await write('/d/a')
  const syncing = files.sync('/d/a')
  await write('/d/a')
  await syncing
  await files.sync('/d/a')
  expect(syncs()).toEqual(['/d/a', '/d/a'])
})

test('a failed sync is fatal', async () => {
  const { files, write, fileSystem, fatal } = await pool(2)
  await write('/d/a')
  fileSystem.fault = ({ kind }) => (kind === 'sync' ? 'EIO' : undefined)
  await expect(files.sync('/d/a')).rejects.toMatchObject({ code: 'EIO' })
  expect(fatal).toHaveLength(1)
})

test('a forgotten file stays open as long as somebody uses it', async () => {
  const { files, write } = await pool(2)
  await write('/d/a')
  const { promise, resolve } = Promise.withResolvers<void>()
  const using = files.use('/d/a', 'read', async (file) => {
    await promise
    return file.sizeBytes()
  })
  await files.forget('/d/a')
  expect(files.openFiles).toBe(0)
  resolve()
  expect(await using).toBe(1)
})

test('who writes while a file is being removed writes another one', async () => {
  const { fileSystem, files, write, read } = await pool(2)
  await write('/d/a')
  await read('/d/a')
  const removal = files.remove('/d/a')
  await Promise.all([removal, files.remove('/d/a'), write('/d/a')])
  expect(await fileSystem.list('/d')).toEqual(['a'])
  expect(await read('/d/a')).toBe(1)
})

test('a file that cannot be removed is used as it is', async () => {
  const { fileSystem, files, write, read } = await pool(2)
  await write('/d/a')
  fileSystem.fault = ({ kind }) => (kind === 'remove' ? 'EIO' : undefined)
  const removal = files.remove('/d/a')
  expect(await read('/d/a')).toBe(1)
  await expect(removal).rejects.toThrow('EIO')
  fileSystem.fault = () => undefined
  await files.remove('/d/a')
  expect(await fileSystem.list('/d')).toEqual([])
})

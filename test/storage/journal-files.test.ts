import { beforeEach, expect, test } from 'vitest'
import { nullLogger } from '../../src/env/logger.ts'
import { JournalFiles } from '../../src/storage/journal-files.ts'
import { SimClock } from '../sim/sim-clock.ts'
import { SimFileSystem } from '../sim/sim-file-system.ts'

const MIB = 1024 * 1024
const FILE_BYTES = 64 * MIB
const AHEAD_MIB = 16

let files: JournalFiles
/** Of each file, how many MiB are filled. */
let filled: number[]

beforeEach(async () => {
  const clock = new SimClock({ immediates: 'microtask' })
  const fileSystem = new SimFileSystem()
  const openDurable = fileSystem.openDurable.bind(fileSystem)
  filled = []
  fileSystem.openDurable = async (path, sizeBytes, goOn) => {
    const number = filled.push(0) - 1
    for (let at = MIB; at <= sizeBytes; at += MIB) {
      filled[number] = at / MIB
      await goOn?.(at)
    }
    return await openDurable(path, sizeBytes)
  }
  files = await JournalFiles.open(
    { fileSystem, clock, logger: nullLogger },
    { directory: '/journal', fileBytes: FILE_BYTES, spareFilesMax: 2, spaceRetryMs: 1_000 },
  )
})

async function turns(): Promise<void> {
  for (let i = 0; i < 1_000; i++) await Promise.resolve()
}

test('the next file is filled as far as the one before is used, and somewhat further', async () => {
  expect(filled).toEqual([64])
  expect(files.take()).toMatchObject({ slot: 0 })
  await turns()
  expect(filled).toEqual([64, AHEAD_MIB])
  files.used(10 * MIB + 1)
  await turns()
  expect(filled).toEqual([64, 10 + AHEAD_MIB + 1])
  files.used(FILE_BYTES - AHEAD_MIB * MIB + 1)
  await turns()
  expect(filled).toEqual([64, 64])
  expect(files.take()).toMatchObject({ slot: 1 })
})

test('a file that is waited for is filled at once', async () => {
  files.take()
  expect(await files.takeWhenReady()).toMatchObject({ slot: 1 })
  await turns()
  expect(filled).toEqual([64, 64, AHEAD_MIB])
})

test('closing does not wait for the journal', async () => {
  files.take()
  await turns()
  await files.close()
  expect(filled).toEqual([64, 64])
})

/** What a data folder remembers of its last registration, and that it says nothing rather than something wrong. */
import { expect, test } from 'vitest'
import { readLastRegistration, writeLastRegistration } from '../../src/storage/last-registration.ts'
import { SimFileSystem } from '../sim/sim-file-system.ts'

const DATA = '/data'
const PATH = `${DATA}/registered.json`

async function folder(): Promise<SimFileSystem> {
  const fileSystem = new SimFileSystem()
  await fileSystem.makeDirectory(DATA)
  return fileSystem
}

test('the last one is remembered, however many digits the one before had', async () => {
  const fileSystem = await folder()
  expect(await readLastRegistration(fileSystem, DATA)).toBeUndefined()
  await writeLastRegistration(fileSystem, DATA, 123_456_789)
  await writeLastRegistration(fileSystem, DATA, 7)
  expect(await readLastRegistration(fileSystem, DATA)).toBe(7)
})

test('a full disk does not stand in the way of another one', async () => {
  const fileSystem = await folder()
  await writeLastRegistration(fileSystem, DATA, 7)
  fileSystem.quotaBytes = fileSystem.usedBytes
  await writeLastRegistration(fileSystem, DATA, 8)
  expect(await readLastRegistration(fileSystem, DATA)).toBe(8)
})

test('a byte that is not as it was written makes it nothing', async () => {
  const fileSystem = await folder()
  await writeLastRegistration(fileSystem, DATA, 1_234)
  const size = (await fileSystem.size(PATH)) as number
  for (let at = 0; at < size; at++) {
    await writeLastRegistration(fileSystem, DATA, 1_234)
    const file = await fileSystem.open(PATH, 'create')
    await file.writeAt([Buffer.from('#')], at)
    await file.close()
    expect(await readLastRegistration(fileSystem, DATA), `byte ${at}`).toBeUndefined()
  }
})

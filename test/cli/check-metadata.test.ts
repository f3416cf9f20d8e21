import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { checkMetadata } from '../../src/cli/check-metadata.ts'
import { NodeFileSystem } from '../../src/env/node-file-system.ts'
import { SystemClock } from '../../src/env/system-clock.ts'
import { EmbeddedStore } from '../../src/metadata/embedded-store.ts'
import { writeLastRegistration } from '../../src/storage/last-registration.ts'

const clock = new SystemClock()
const fileSystem = new NodeFileSystem()
let directory = ''
let said: string[] = []
const deps = { clock, fileSystem, write: (line: string) => said.push(line) }

beforeEach(async () => {
  said = []
  directory = mkdtempSync(join(tmpdir(), 'curlew-check-metadata-'))
  const store = EmbeddedStore.open(
    { clock, onFatal: () => undefined },
    { path: join(directory, 'metadata.db'), createIfMissing: true },
  )
  await store.transact({ compare: [], put: [{ key: '/topics/orders', value: '{"a":1}' }] })
  await store.close()
})

afterEach(() => rmSync(directory, { recursive: true }))

test('says nothing of metadata that are whole', async () => {
  expect(await checkMetadata(deps, directory)).toBe(true)
  expect(said).toEqual([])
})

test('does not look for those of a storage node, which are not in its folder', async () => {
  await writeLastRegistration(fileSystem, directory, 7)
  writeFileSync(join(directory, 'metadata.db'), '')
  expect(await checkMetadata(deps, directory)).toBe(true)
  expect(said).toEqual([])
})

test('names what is damaged, and what to do', async () => {
  const path = join(directory, 'metadata.db')
  const bytes = readFileSync(path)
  const at = bytes.indexOf('/topics/orders')
  bytes[at + 9] = (bytes[at + 9] as number) ^ 1
  writeFileSync(path, bytes)
  expect(await checkMetadata(deps, directory)).toBe(false)
  expect(said.join('\n')).toMatch(/metadata\.db is damaged[\s\S]*restore the file from a backup/)
})

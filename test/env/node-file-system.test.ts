import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { NodeFileSystem } from '../../src/env/node-file-system.ts'
import { durableFileContract } from '../contract/durable-file.contract.ts'
import { fileSystemContract } from '../contract/file-system.contract.ts'

async function make(options = {}) {
  const directory = await mkdtemp(`${tmpdir()}/curlew-fs-`)
  return {
    fileSystem: new NodeFileSystem(options),
    directory,
    dispose: () => rm(directory, { recursive: true }),
  }
}

fileSystemContract('NodeFileSystem', make)
fileSystemContract('NodeFileSystem through the page cache', () => make({ directIo: false }))
durableFileContract('NodeFileSystem', make)
durableFileContract('NodeFileSystem through the page cache', () => make({ directIo: false }))
durableFileContract('NodeFileSystem without O_DSYNC', () => make({ syncAfterWrite: true }))

test('the kernel gives a lock free when its process is killed', async () => {
  const { fileSystem, directory, dispose } = await make()
  const module = new URL('../../src/env/node-file-system.ts', import.meta.url).href
  const script = `
    const { NodeFileSystem } = await import(${JSON.stringify(module)})
    const lock = await new NodeFileSystem().lock(${JSON.stringify(`${directory}/lock`)})
    console.log(lock === undefined ? 'refused' : 'held')
    if (process.argv.includes('die')) process.kill(process.pid, 'SIGKILL')
  `
  const run = (...args: string[]) =>
    promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, ...args])
  const held = await fileSystem.lock(`${directory}/lock`)
  expect((await run()).stdout).toBe('refused\n')
  await held?.release()
  await expect(run('die')).rejects.toMatchObject({ stdout: 'held\n', signal: 'SIGKILL' })
  expect(await fileSystem.lock(`${directory}/lock`)).toBeDefined()
  await dispose()
})

test('a write that fails in the thread rejects with the code of the system', async () => {
  // Every write to this device fails so, and its size already suits: nothing is filled.
  const file = await new NodeFileSystem().openDurable('/dev/full', 0)
  await expect(file.write([new Uint8Array(4096)], 0)).rejects.toMatchObject({
    code: 'ENOSPC',
    syscall: expect.stringContaining('write'),
  })
  await file.close()
})

test('a process with an idle durable file ends by itself', async () => {
  const { directory, dispose } = await make()
  const module = new URL('../../src/env/node-file-system.ts', import.meta.url).href
  const script = `
    const { NodeFileSystem } = await import(${JSON.stringify(module)})
    const file = await new NodeFileSystem().openDurable(${JSON.stringify(`${directory}/f`)}, 4096)
    await file.write([new Uint8Array(4096)], 0)
    console.log('written')
  `
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--input-type=module',
    '-e',
    script,
  ])
  expect(stdout).toBe('written\n')
  await dispose()
})

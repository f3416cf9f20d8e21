/** bin/curlew.js: the way in for users, from a checkout without a build. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { CurlewProcess } from '../support/curlew-process.ts'
import { call } from '../support/http-client.ts'
import type { TempDirectory } from '../support/temp-directory.ts'
import { makeTempDirectory } from '../support/temp-directory.ts'

const LAUNCHER = join(import.meta.dirname, '..', '..', 'bin', 'curlew.js')
let directory: TempDirectory

beforeAll(async () => {
  directory = await makeTempDirectory('launcher')
})
afterAll(() => directory.remove())

/** Threads of the pool that the process has made. */
async function poolThreads(pid: number): Promise<number> {
  const tasks = `/proc/${pid}/task`
  const names = await Promise.all(
    (await readdir(tasks)).map((task) => readFile(join(tasks, task, 'comm'), 'utf8')),
  )
  return names.filter((name) => name.startsWith('libuv-worker')).length
}

it.each([
  ['16 by itself', [], 16],
  ['as many as the environment says', ['UV_THREADPOOL_SIZE=6'], 6],
])('serves, with threads for files: %s', async (label, env, threads) => {
  const server = await CurlewProcess.start({
    dataDirectory: join(directory.path, label.replaceAll(' ', '-')),
    command: ['env', '--unset=UV_THREADPOOL_SIZE', ...env, process.execPath, LAUNCHER],
  })
  try {
    const sent = await call(server.baseUrl, 'POST', '/v1/topics/t/publish', { body: 'x' })
    expect(sent.status, sent.text).toBe(201)
    expect(await poolThreads(server.pid)).toBe(threads)
    expect(await server.stop()).toEqual({ code: 0, signal: null })
  } finally {
    await server.killHard()
  }
})

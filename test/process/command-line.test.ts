/** The command line: help, mistakes, and data that must not be touched. */
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CommandResult } from '../support/curlew-process.ts'
import { CurlewProcess, ENTRY, runCommand, runCurlew } from '../support/curlew-process.ts'
import { freePort } from '../support/free-port.ts'
import { call } from '../support/http-client.ts'
import type { TempDirectory } from '../support/temp-directory.ts'
import { makeTempDirectory } from '../support/temp-directory.ts'
import { TempServer } from '../support/temp-server.ts'

const PROJECT = join(import.meta.dirname, '..', '..')
/** How a program says that it was called wrongly (as getopt's users do). */
const USAGE = 2

let directory: TempDirectory

beforeAll(async () => {
  directory = await makeTempDirectory('command-line')
})
afterAll(() => directory.remove())

const data = (name: string): string => `--data=${join(directory.path, name)}`

describe('help', () => {
  it.each([[['--help']], [['-h']], [['help']], [['standalone', '--help']]])(
    'curlew %j',
    async (args) => {
      const { code, stdout, stderr } = await runCurlew(args)
      expect([code, stderr]).toEqual([0, ''])
      for (const word of ['standalone', '--port', '--data', '8080']) expect(stdout).toContain(word)
    },
  )

  it('curlew --version says which it is', async () => {
    const manifest = await readFile(join(PROJECT, 'package.json'), 'utf8')
    const { version } = JSON.parse(manifest) as { version: string }
    const { code, stdout } = await runCurlew(['--version'])
    expect(code).toBe(0)
    expect(stdout).toContain(version)
  })
})

/** A mistake is named in one line, without a stack, and the process does nothing. */
function expectUsageError({ code, stdout, stderr }: CommandResult, message: RegExp): void {
  expect(code, stdout + stderr).toBe(USAGE)
  expect(stderr).toMatch(message)
  expect(stderr).not.toMatch(/\n\s+at /)
}

describe('mistakes', () => {
  it.each([
    ['an unknown flag', ['standalone', '--prot=1'], /--prot.*--port/],
    ['an unknown command', ['standalnoe'], /standalnoe/],
    ['a port that is none', ['standalone', '--port=99999'], /--port/],
    ['a size that is none', ['standalone', '--max-request-bytes=big'], /--max-request-bytes/],
    ['a flag without its value', ['standalone', '--data'], /--data/],
    ['a word too much', ['standalone', 'surplus'], /surplus/],
    ['an origin that is none', ['standalone', '--cors-origin=shop'], /--cors-origin/],
  ])('refuses %s and names it', async (_, args, message) => {
    expectUsageError(await runCurlew(args), message)
  })

  it('refuses an environment variable that it does not know, and names the one meant', async () => {
    const env = { ...process.env, CURLEW_PROT: '1' }
    const result = await runCommand([process.execPath, ENTRY, 'standalone', data('env')], { env })
    expectUsageError(result, /CURLEW_PROT.*CURLEW_PORT/)
  })

  it('lets a flag win over the environment', async () => {
    const elsewhere = join(directory.path, 'by-environment')
    const server = await CurlewProcess.spawn({
      dataDirectory: join(directory.path, 'by-flag'),
      command: ['env', `CURLEW_DATA=${elsewhere}`, 'CURLEW_PORT=1', process.execPath, ENTRY],
    })
    try {
      await server.whenReady()
      const folders = await readdir(directory.path)
      expect(folders).toContain('by-flag')
      expect(folders).not.toContain('by-environment')
    } finally {
      await server.killHard()
    }
  })
})

describe('what is in use', () => {
  let server: TempServer

  beforeAll(async () => {
    server = await TempServer.start('in-use')
    await call(server.baseUrl, 'POST', '/v1/topics/t/publish', { body: 'x' })
  })
  afterAll(() => server.close())

  it('refuses a data directory that another process has, which goes on undisturbed', async () => {
    const args = ['standalone', `--port=${await freePort()}`, `--data=${server.dataDirectory}`]
    const { code, stderr, stdout } = await runCurlew(args)
    expect(code).toBeGreaterThan(0)
    expect(stderr).toMatch(/^curlew: another process uses .+\n$/)
    expect(stdout + stderr).toContain(server.dataDirectory)
    const again = await call(server.baseUrl, 'POST', '/v1/topics/t/publish', { body: 'y' })
    expect(again.status).toBe(201)
  })

  it('refuses a port that another process has, and says which', async () => {
    const { port } = server.process
    const { code, stderr, stdout } = await runCurlew(['standalone', `--port=${port}`, data('port')])
    expect(code).toBeGreaterThan(0)
    expect(stdout + stderr).toContain(String(port))
  })
})

describe('data that is not ours to touch', () => {
  let stopped: TempServer

  beforeAll(async () => {
    stopped = await TempServer.start('foreign')
    await call(stopped.baseUrl, 'POST', '/v1/topics/t/publish', { body: 'x' })
    await stopped.process.stop()
  })
  afterAll(() => stopped.close())

  const startOn = async (path: string): Promise<CommandResult> =>
    runCurlew(['standalone', `--port=${await freePort()}`, `--data=${path}`])

  it('is left alone when it is that of a storage node, even of one that runs', async () => {
    const path = join(directory.path, 'storage-node')
    await mkdir(path)
    await writeFile(join(path, 'registered.json'), '')
    const { code, stderr } = await startOn(path)
    expect(code).toBe(1)
    expect(stderr).toBe(
      `curlew: ${path} belongs to a storage node of a cluster: start it with \`curlew storage\`\n`,
    )
    expect(await readdir(path)).toEqual(['registered.json'])
  })

  it('is left alone when a newer version wrote it', async () => {
    const copy = join(directory.path, 'newer')
    await cp(stopped.dataDirectory, copy, { recursive: true })
    const file = join(copy, 'node.json')
    const text = await readFile(file, 'utf8')
    const newer = text.replace(/("format[A-Za-z]*"\s*:\s*)\d+/, '$1999')
    expect(newer).not.toBe(text)
    await writeFile(file, newer)
    const { code, stdout, stderr } = await startOn(copy)
    expect(code).toBeGreaterThan(0)
    expect(stdout + stderr).toMatch(/newer|999/)
    expect(await readFile(file, 'utf8')).toBe(newer)
  })

  it.each([['node.json'], ['metadata.db'], ['checkpoint']])(
    'is left alone without its %s',
    async (name) => {
      const copy = join(directory.path, `without-${name}`)
      await cp(stopped.dataDirectory, copy, { recursive: true })
      for (const file of await readdir(copy)) {
        if (file.startsWith(name)) await rm(join(copy, file))
      }
      const { code, stdout, stderr } = await startOn(copy)
      expect(code).toBeGreaterThan(0)
      expect(stdout + stderr).toContain(copy)
      expect(stderr).not.toMatch(/\n\s+at /)
      expect((await readdir(join(copy, 'logs'))).length).toBeGreaterThan(0)
    },
  )
})

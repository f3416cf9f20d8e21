/** The command line: help, mistakes, and data that must not be touched. */
import { cp, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ENTRY, runCommand, runCurlew } from '../support/curlew-process.ts'
import { freePort } from '../support/free-port.ts'
import { call } from '../support/http-client.ts'
import type { TempDirectory } from '../support/temp-directory.ts'
import { makeTempDirectory } from '../support/temp-directory.ts'
import { TempServer } from '../support/temp-server.ts'

let directory: TempDirectory

beforeAll(async () => {
  directory = await makeTempDirectory('command-line')
})
afterAll(() => directory.remove())

const unused = (): string => join(directory.path, 'unused')

describe('help', () => {
  it.each([['--help'], ['-h'], ['standalone', '--help'], ['help']])(
    'curlew %s %s',
    async (...args) => {
      const { code, stdout, stderr } = await runCurlew(args.filter((arg) => arg !== undefined))
      expect([code, stderr]).toEqual([0, ''])
      for (const word of ['Usage', 'standalone', '--port', '--data']) expect(stdout).toContain(word)
    },
  )

  it('curlew --version says which it is', async () => {
    const { version } = JSON.parse(
      await readFile(join(import.meta.dirname, '..', '..', 'package.json'), 'utf8'),
    ) as { version: string }
    const { code, stdout } = await runCurlew(['--version'])
    expect(code).toBe(0)
    expect(stdout).toContain(version)
  })
})

describe('mistakes', () => {
  it.each([
    ['an unknown flag', ['standalone', '--prot=1'], /--prot.*--port/s],
    ['an unknown command', ['standalnoe'], /standalnoe/],
    ['a port that is none', ['standalone', '--port=99999999'], /port/],
    ['a flag without its value', ['standalone', '--data'], /--data/],
    ['a word too much', ['standalone', 'x'], /\bx\b/],
    ['an origin that is none', ['standalone', '--cors-origin=shop'], /origin/],
  ])('refuses %s, names it, and does nothing', async (_, args, message) => {
    const { code, stderr, stdout } = await runCurlew([...args, '--help-not'].slice(0, args.length))
    expect(code, stdout).toBe(2)
    expect(stderr).toMatch(message)
    expect(stderr).not.toMatch(/\n\s+at /)
  })

  it('refuses an environment variable that it does not know', async () => {
    const env = { ...process.env, CURLEW_PROT: '1' }
    const { code, stderr } = await runCommand(
      [process.execPath, ENTRY, 'standalone', `--data=${unused()}`],
      { env },
    )
    expect(code).toBe(2)
    expect(stderr).toContain('CURLEW_PROT')
  })

  it('takes settings from the environment, and flags before them', async () => {
    const [port, other] = [await freePort(), await freePort()]
    const server = await TempServer.start('environment')
    await server.close()
    const env = { ...process.env, CURLEW_PORT: `${other}`, CURLEW_HOST: '127.0.0.1' }
    const { code, stderr } = await runCommand(
      [process.execPath, ENTRY, 'standalone', '--port=x', `--data=${unused()}`],
      { env },
    )
    expect([code, port === other]).toEqual([2, false])
    expect(stderr).toContain('port')
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
    const port = await freePort()
    const args = ['standalone', `--port=${port}`, `--data=${server.dataDirectory}`]
    const { code, stderr, stdout } = await runCurlew(args)
    expect(code).toBeGreaterThan(0)
    expect(`${stdout}${stderr}`).toContain(server.dataDirectory)
    const again = await call(server.baseUrl, 'POST', '/v1/topics/t/publish', { body: 'y' })
    expect(again.status).toBe(201)
  })

  it('refuses a port that another process has, and says which', async () => {
    const { port } = server.process
    const args = ['standalone', `--port=${port}`, `--data=${join(directory.path, 'port')}`]
    const { code, stderr, stdout } = await runCurlew(args)
    expect(code).toBeGreaterThan(0)
    expect(`${stdout}${stderr}`).toContain(String(port))
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

  const startOn = async (label: string, change: (path: string) => Promise<void>) => {
    const copy = join(directory.path, label)
    await cp(stopped.dataDirectory, copy, { recursive: true })
    await change(copy)
    return runCurlew(['standalone', `--port=${await freePort()}`, `--data=${copy}`])
  }

  it('is left alone when a newer version wrote it', async () => {
    const { code, stdout, stderr } = await startOn('newer', async (path) => {
      const file = join(path, 'node.json')
      const text = await readFile(file, 'utf8')
      await writeFile(file, text.replace(/("format[A-Za-z]*"\s*:\s*)\d+/, '$1999'))
    })
    expect(code).toBeGreaterThan(0)
    expect(`${stdout}${stderr}`).toMatch(/format|newer|version/)
  })

  it('is left alone when it has no identity, as a folder of something else', async () => {
    const { code, stdout, stderr } = await runCurlewOnFolder('else', { 'photo.jpg': 'x' })
    expect(code).toBeGreaterThan(0)
    expect(`${stdout}${stderr}`).toContain(join(directory.path, 'else'))
    expect(await readdir(join(directory.path, 'else'))).toEqual(['photo.jpg'])
  })
})

async function runCurlewOnFolder(label: string, files: Record<string, string>) {
  const { mkdir } = await import('node:fs/promises')
  const path = join(directory.path, label)
  await mkdir(path)
  for (const [name, text] of Object.entries(files)) await writeFile(join(path, name), text)
  return runCurlew(['standalone', `--port=${await freePort()}`, `--data=${path}`])
}

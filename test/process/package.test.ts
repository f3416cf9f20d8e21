/** The package as users get it: packed, installed into an empty folder, run. */
import { existsSync } from 'node:fs'
import { cp, mkdir, readdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CurlewProcess, runCommand } from '../support/curlew-process.ts'
import { call } from '../support/http-client.ts'
import type { TempDirectory } from '../support/temp-directory.ts'
import { makeTempDirectory } from '../support/temp-directory.ts'

const PROJECT = join(import.meta.dirname, '..', '..')
/** Debian's Node, as most servers have it. */
const SYSTEM_NODE = '/usr/bin/node'

let directory: TempDirectory
let installed: string

/** Packs a copy, so that what the build leaves behind does not get into the work tree. */
async function pack(): Promise<string> {
  const copy = join(directory.path, 'project')
  await mkdir(copy)
  const { stdout } = await runCommand([
    'git',
    'ls-files',
    '--cached',
    '--others',
    '--exclude-standard',
  ])
  for (const file of stdout.split('\n').filter((name) => name !== '' && name !== 'node_modules')) {
    if (existsSync(join(PROJECT, file))) await cp(join(PROJECT, file), join(copy, file))
  }
  await symlink(join(PROJECT, 'node_modules'), join(copy, 'node_modules'))
  const packed = await runCommand(['npm', 'pack', '--silent'], { cwd: copy, deadlineMs: 120_000 })
  expect(packed.code, packed.stderr + packed.stdout).toBe(0)
  return join(copy, packed.stdout.trim().split('\n').at(-1) ?? '')
}

beforeAll(async () => {
  directory = await makeTempDirectory('package')
  const tarball = await pack()
  installed = join(directory.path, 'installed')
  await mkdir(installed)
  const install = await runCommand(
    ['npm', 'install', '--prefer-offline', '--no-audit', '--no-fund', '--omit=dev', tarball],
    { cwd: installed, deadlineMs: 180_000 },
  )
  expect(install.code, install.stderr).toBe(0)
}, 300_000)
afterAll(() => directory.remove())

describe('the package', () => {
  it('holds what runs and what explains it, and nothing else', async () => {
    const names = await readdir(join(installed, 'node_modules', 'curlew'))
    expect(names).toEqual(
      expect.arrayContaining(['LICENSE', 'README.md', 'PROTOCOL.md', 'bin', 'dist', 'openapi']),
    )
    for (const name of ['src', 'test', 'bench', 'scripts', 'node_modules']) {
      expect(names).not.toContain(name)
    }
  })

  it('serves: records go in and come out, its pages are there', async () => {
    const server = await CurlewProcess.start({
      dataDirectory: join(directory.path, 'data'),
      command: [process.execPath, join(installed, 'node_modules', '.bin', 'curlew')],
    })
    try {
      const sent = await call(server.baseUrl, 'POST', '/v1/topics/hello/publish', {
        headers: { 'content-type': 'application/json' },
        body: '{"n":12345678901234567890}',
      })
      expect(sent.status, sent.text).toBe(201)
      const read = await call(server.baseUrl, 'GET', '/v1/topics/hello/records')
      expect(read.text).toContain('"value":{"n":12345678901234567890}')
      for (const path of ['/docs', '/openapi.json', '/openapi-3.2.json', '/problems/disk-full']) {
        expect((await call(server.baseUrl, 'GET', path)).status, path).toBe(200)
      }
      expect(await server.stop()).toEqual({ code: 0, signal: null })
    } finally {
      await server.killHard()
    }
  })

  if (existsSync(SYSTEM_NODE)) {
    it('says which Node it needs to one that is too old', async () => {
      const { stdout: version } = await runCommand([SYSTEM_NODE, '--version'])
      const launcher = join(installed, 'node_modules', 'curlew', 'bin', 'curlew.js')
      const { code, stderr } = await runCommand([SYSTEM_NODE, launcher, '--version'])
      const isOld = Number(/^v(\d+)/.exec(version)?.[1]) < 24
      expect(code).toBe(isOld ? 1 : 0)
      expect(stderr).toMatch(isOld ? /Node(?:\.js)? 24\.12/ : /^$/)
      expect(stderr).not.toMatch(/SyntaxError|\n\s+at /)
    })
  } else {
    console.warn(`an old Node is not tested, there is none at ${SYSTEM_NODE}`)
  }
})

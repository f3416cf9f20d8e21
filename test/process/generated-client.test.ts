/** A client that is generated from the API document type-checks and works, without a line by hand. */
import { cp, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCommand } from '../support/curlew-process.ts'
import { call } from '../support/http-client.ts'
import type { TempDirectory } from '../support/temp-directory.ts'
import { makeTempDirectory } from '../support/temp-directory.ts'
import { TempServer } from '../support/temp-server.ts'

const PROJECT = join(import.meta.dirname, '..', '..')
const MODULES = join(PROJECT, 'node_modules')
const TSCONFIG = {
  compilerOptions: {
    strict: true,
    noEmit: true,
    module: 'nodenext',
    target: 'esnext',
    types: ['node'],
    allowImportingTsExtensions: true,
    verbatimModuleSyntax: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
  },
  files: ['main.ts'],
}

let directory: TempDirectory
let server: TempServer

beforeAll(async () => {
  directory = await makeTempDirectory('client')
  server = await TempServer.start('client-server')
  await writeFile(join(directory.path, 'tsconfig.json'), JSON.stringify(TSCONFIG))
  await writeFile(join(directory.path, 'package.json'), '{"type":"module"}')
  await symlink(MODULES, join(directory.path, 'node_modules'))
  await cp(
    join(import.meta.dirname, 'generated-client', 'main.ts'),
    join(directory.path, 'main.ts'),
  )
  const document = await call(server.baseUrl, 'GET', '/openapi.json')
  await writeFile(join(directory.path, 'openapi.json'), document.body)
})
afterAll(async () => {
  await server.close()
  await directory.remove()
})

const run = (...command: string[]) =>
  runCommand([process.execPath, ...command], { cwd: directory.path, deadlineMs: 120_000 })

describe('a generated client', () => {
  it('creates, produces, waits, consumes as a member and deletes', async () => {
    const generated = await run(
      join(MODULES, 'openapi-typescript', 'bin', 'cli.js'),
      'openapi.json',
      '--output',
      'api.d.ts',
    )
    expect(generated.code, generated.stderr).toBe(0)
    const checked = await run(join(MODULES, 'typescript7', 'bin', 'tsc'), '--project', '.')
    expect(checked.stdout).toBe('')
    expect(checked.code, checked.stderr).toBe(0)
    const result = await run('main.ts', server.baseUrl)
    expect(result.code, result.stderr).toBe(0)
    expect(JSON.parse(result.stdout)).toEqual({
      made: 201,
      produced: 1,
      read: [{ key: 'k', value: { total: 12 } }],
      joined: 201,
      polled: [{ total: 12 }],
      committed: 1,
      left: 204,
      refused: 'topic-not-found',
      removed: 202,
    })
  }, 120_000)

  it('is generated from the document in the repository, which is the one that is served', async () => {
    const served = await call(server.baseUrl, 'GET', '/openapi.json')
    const { readFile } = await import('node:fs/promises')
    const kept = await readFile(join(PROJECT, 'openapi', 'public.json'), 'utf8')
    expect(served.json()).toEqual(JSON.parse(kept))
  })
})

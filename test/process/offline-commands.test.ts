/** `curlew dump` and `curlew repair` as they are typed. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { runCurlew } from '../support/curlew-process.ts'
import { call } from '../support/http-client.ts'
import { TempServer } from '../support/temp-server.ts'

let stopped: TempServer

beforeAll(async () => {
  stopped = await TempServer.start('offline')
  await call(stopped.baseUrl, 'POST', '/v1/topics/t/publish', { body: 'x' })
  expect(await stopped.process.stop()).toEqual({ code: 0, signal: null })
})
afterAll(() => stopped.close())

it('dump prints every batch of a segment', async () => {
  const logs = join(stopped.dataDirectory, 'logs')
  const [log = ''] = await readdir(logs)
  const { code, stdout, stderr } = await runCurlew([
    'dump',
    join(logs, log, `${'0'.repeat(20)}.log`),
  ])
  expect([code, stderr]).toEqual([0, ''])
  expect(stdout).toMatch(/offsets 0-0 .*records 1 .*valid/)
})

it('repair finds nothing amiss in a whole folder', async () => {
  const { code, stdout } = await runCurlew(['repair', '--data', stopped.dataDirectory])
  expect([code, stdout]).toEqual([0, expect.stringContaining('no damage')])
})

it.each([
  [['dump'], /needs the file/],
  [['dump', 'a', 'b'], /unexpected word: b/],
  [['dump', '--apply', 'a'], /--apply/],
  [['repair'], /needs the data folder/],
  [['repair', '--dta=x'], /--dta/],
])('%j is refused and says why', async (args, message) => {
  const { code, stderr } = await runCurlew(args)
  expect(code).toBe(2)
  expect(stderr).toMatch(message)
  expect(stderr).not.toMatch(/\n\s+at /)
})

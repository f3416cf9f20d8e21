/** Runs the suite against the server that CURLEW_URL names, else against a process of its own. */
import { afterAll, beforeAll } from 'vitest'
import { CurlewProcess } from '../support/curlew-process.ts'
import type { TempDirectory } from '../support/temp-directory.ts'
import { makeTempDirectory } from '../support/temp-directory.ts'
import { describeConformance } from './describe-conformance.ts'

const given = process.env['CURLEW_URL']
let own: { server: CurlewProcess; directory: TempDirectory } | undefined

beforeAll(async () => {
  if (given !== undefined) return
  const directory = await makeTempDirectory('conformance')
  own = { directory, server: await CurlewProcess.start({ dataDirectory: directory.path }) }
})

afterAll(async () => {
  await own?.server.stop()
  await own?.directory.remove()
})

describeConformance(() => given ?? own?.server.baseUrl ?? '')

/** The metadata are gone or damaged: the start says so, and a repair makes them again, when told to. */
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { CurlewProcess, runCurlew } from '../support/curlew-process.ts'
import { call, callJson } from '../support/http-client.ts'
import { readTopic } from '../support/load.ts'
import { TempServer } from '../support/temp-server.ts'

const SETTINGS = { partitions: 3, retentionMs: -1, segmentBytes: 1_048_576, maxRecordBytes: 5000 }

let server: TempServer
let data: string

/** Three topics: with settings of its own, with `flush: os`, and one that is deleted again. */
beforeEach(async () => {
  server = await TempServer.start('metadata')
  data = server.dataDirectory
  await callJson(server.baseUrl, 'PUT', '/v1/topics/orders', SETTINGS)
  await callJson(server.baseUrl, 'PUT', '/v1/topics/logs.v1-x', { partitions: 2, flush: 'os' })
  await callJson(server.baseUrl, 'PUT', '/v1/topics/gone', {})
  for (const topic of ['orders', 'logs.v1-x', 'gone']) {
    const records = Array.from({ length: 40 }, (_, i) => ({ key: `k${i}`, value: i }))
    const answer = await callJson(server.baseUrl, 'POST', `/v1/topics/${topic}/records`, {
      records,
    })
    expect(answer.status, answer.text).toBe(200)
  }
})
afterEach(() => server.close())

const describeTopic = async (name: string) => {
  const answer = await call(server.baseUrl, 'GET', `/v1/topics/${name}`)
  expect(answer.status, answer.text).toBe(200)
  return answer.json<Record<string, unknown>>()
}

const repair = async (...flags: string[]) => {
  const { code, stdout, stderr } = await runCurlew(['repair', '--data', data, ...flags])
  expect(stderr).toBe('')
  return { code, stdout }
}

async function startFails(): Promise<string> {
  const failing = await CurlewProcess.spawn({ dataDirectory: data })
  expect((await failing.exited).code).not.toBe(0)
  return failing.output
}

it('rebuilds damaged metadata from the copy: ids, settings and all records', async () => {
  await call(server.baseUrl, 'DELETE', '/v1/topics/gone')
  const before = await describeTopic('orders')
  const records = await readTopic(server.baseUrl, 'orders')
  expect(await server.process.stop()).toEqual({ code: 0, signal: null })
  const path = join(data, 'metadata.db')
  const bytes = await readFile(path)
  bytes.fill(0x55, 4096, 8192)
  await writeFile(path, bytes)
  expect(await startFails()).toMatch(/metadata\.db.*damaged[\s\S]*--rebuild-metadata/)

  // Neither a look nor an ordinary repair touches them.
  for (const flags of [[], ['--apply'], ['--rebuild-metadata']]) {
    expect((await repair(...flags)).code).toBe(1)
    expect(await readFile(path)).toEqual(bytes)
  }
  const { code, stdout } = await repair('--rebuild-metadata', '--apply')
  expect([code, stdout]).toEqual([0, expect.stringMatching(/topic orders: 3 partitions, with its/)])
  const [kept = ''] = await readdir(join(data, 'quarantine'))
  expect(await readFile(join(data, 'quarantine', kept))).toEqual(bytes)

  await server.startAgain()
  const { createdAt, ...settings } = await describeTopic('orders')
  expect({ createdAt, ...settings }).toEqual(before)
  expect(await readTopic(server.baseUrl, 'orders')).toEqual(records)
  expect((await call(server.baseUrl, 'GET', '/v1/topics/gone')).status).toBe(404)
  expect((await callJson(server.baseUrl, 'PUT', '/v1/topics/orders', SETTINGS)).status).toBe(200)
})

it('without a copy rebuilds topics from their logs, also after a kill', async () => {
  const records = await readTopic(server.baseUrl, 'orders')
  const { topicId } = await describeTopic('orders')
  await server.process.killHard()
  await rm(join(data, 'metadata.db'))
  await rm(join(data, 'metadata.copy'))
  expect(await startFails()).toMatch(/--rebuild-metadata/)
  const { code, stdout } = await repair('--rebuild-metadata', '--apply')
  expect(code, stdout).toBe(0)
  expect(stdout).toMatch(/topic orders: 3 partitions, as its logs say/)
  await server.startAgain()
  expect(await readTopic(server.baseUrl, 'orders')).toEqual(records)
  expect(await describeTopic('orders')).toMatchObject({ topicId, retentionMs: -1, flush: 'commit' })
  expect(await describeTopic('logs.v1-x')).toMatchObject({ partitionCount: 2, flush: 'os' })
  const answer = await call(server.baseUrl, 'POST', '/v1/topics/orders/publish?key=k1', {
    body: 'next',
  })
  const { partition } = answer.json<{ partition: number }>()
  // The same key goes where it went before: to the one with the value 1.
  expect(records.find(({ value }) => String(value) === '1')?.partition).toBe(partition)
})

/**
 * One bit of a stopped server's files turns over. Whatever it was, the server afterwards either has
 * every record as it was, or says that it has not: it never serves less or other data in silence.
 */
import { open, readdir, readFile, rm } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CurlewProcess, runCommand } from '../support/curlew-process.ts'
import type { StoredRecord } from '../support/history-checker.ts'
import { call, callJson } from '../support/http-client.ts'
import { readTopic } from '../support/load.ts'
import type { SeededRandom } from '../support/seeded-random.ts'
import { seededRandom } from '../support/seeded-random.ts'
import type { TempDirectory } from '../support/temp-directory.ts'
import { makeTempDirectory } from '../support/temp-directory.ts'
import { TempServer } from '../support/temp-server.ts'

const TOPICS = ['alpha', 'beta']
const RECORDS = 400
/** Where most depends on it; one in each other kind of file. */
const FLIPS: Record<string, number> = { journal: 3, log: 3, checkpoint: 2, 'metadata.db': 3 }
/** Small, as each flip is made in a copy. */
const SETTINGS = ['--journal-file-bytes=18MiB']
/** Files that hold nothing. */
const EMPTY = ['ballast', 'lock']

type Outcome = 'same' | 'refused to start' | 'said damaged'

let directory: TempDirectory
let stopped: string
let killed: string
const expected = new Map<string, StoredRecord[]>()

beforeAll(async () => {
  directory = await makeTempDirectory('damage')
  killed = join(directory.path, 'killed')
  stopped = join(directory.path, 'stopped')
  let server = await CurlewProcess.start({ dataDirectory: killed, args: SETTINGS })
  for (const topic of TOPICS) {
    const settings = { partitions: 1, segmentBytes: 1_048_576 }
    await callJson(server.baseUrl, 'PUT', `/v1/topics/${topic}`, settings)
    for (let i = 0; i < RECORDS; i += 20) {
      const records = Array.from({ length: 20 }, (_, n) => ({
        key: `key-${i + n}`,
        value: `${topic} ${i + n} ${'v'.repeat(5_000)}`,
      }))
      await callJson(server.baseUrl, 'POST', `/v1/topics/${topic}/records`, { records })
    }
    expected.set(topic, await readTopic(server.baseUrl, topic))
  }
  await server.killHard()
  await copyTree(killed, stopped)
  server = await CurlewProcess.start({ dataDirectory: stopped, args: SETTINGS })
  await server.stop()
}, 120_000)
afterAll(() => directory.remove())

type Outcomes = Record<string, Outcome[]>

/** Turns bits over in every kind of file, one at a time, and tells what became of each. */
async function tryAll(source: string, random: SeededRandom): Promise<Outcomes> {
  const outcomes: Outcomes = {}
  for (const [kind, files] of await filesByKind(source)) {
    for (let i = 0; i < (FLIPS[kind] ?? 1); i++) {
      const outcome = await flipAndStart(source, random.pick(files), random)
      outcomes[kind] = [...(outcomes[kind] ?? []), outcome]
    }
  }
  console.info(JSON.stringify(outcomes))
  return outcomes
}

describe('a flipped bit', () => {
  it('of a stopped node never goes unnoticed where it changes a record', async () => {
    const outcomes = await tryAll(stopped, seededRandom('a flipped bit, stopped'))
    expect(outcomes['log']).toContain('said damaged')
    expect(new Set(outcomes['node.json'])).toEqual(new Set(['refused to start']))
    expect(outcomes['index']).toEqual(['same'])
  }, 120_000)

  it('of a node that was killed never goes unnoticed where it changes a record', async () => {
    const outcomes = await tryAll(killed, seededRandom('a flipped bit, killed'))
    expect(outcomes['journal']).toContain('said damaged')
  }, 120_000)
})

describe('one damaged partition', () => {
  it('refuses its part of a request, and the rest is written', async () => {
    const server = await TempServer.start('part', SETTINGS)
    try {
      const topic = '/v1/topics/part'
      await callJson(server.baseUrl, 'PUT', topic, { partitions: 3 })
      const produce = (values: readonly string[]) =>
        callJson(server.baseUrl, 'POST', `${topic}/records`, {
          records: values.map((value, partition) => ({ value, partition })),
        })
      for (const [partition, value] of ['first', 'second', 'third'].entries()) {
        const records = [{ value, partition }]
        const answer = await callJson(server.baseUrl, 'POST', `${topic}/records`, { records })
        expect(answer.status, answer.text).toBe(200)
      }
      await server.process.killHard()
      await flipAt(join(server.dataDirectory, 'journal', '0'), 'second')
      await server.startAgain(SETTINGS)
      const answer = await produce(['a', 'b', 'c'])
      expect(answer.status).toBe(207)
      expect(answer.json()).toMatchObject({
        records: [
          { partition: 0, offset: 1 },
          { error: { code: 'partition-damaged', committed: 'no', retryable: false } },
          { partition: 2, offset: 1 },
        ],
      })
      for (const [partition, status] of [200, 500, 200].entries()) {
        const path = `${topic}/records?partition=${partition}`
        expect((await call(server.baseUrl, 'GET', path)).status).toBe(status)
      }
    } finally {
      await server.close()
    }
  })
})

/** Turns a bit over where the file has the text. */
async function flipAt(path: string, text: string): Promise<void> {
  const bytes = await readFile(path)
  const at = bytes.indexOf(text)
  expect(at).toBeGreaterThan(0)
  const file = await open(path, 'r+')
  await file.write(Uint8Array.of((bytes[at] as number) ^ 1), 0, 1, at)
  await file.close()
}

/** Holes stay holes: most of a journal is zeros. */
async function copyTree(from: string, to: string): Promise<void> {
  const { code, stderr } = await runCommand(['cp', '-r', '--sparse=always', from, to])
  expect(code, stderr).toBe(0)
}

/** Files of a data directory that hold something, by what they are: the folder or the ending tells. */
async function filesByKind(root: string): Promise<Map<string, string[]>> {
  const kinds = new Map<string, string[]>()
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (!entry.isFile() || EMPTY.includes(entry.name)) continue
    if ((await readFile(path)).every((byte) => byte === 0)) continue
    const file = relative(root, path)
    const [folder] = file.split('/')
    const kind = folder === 'logs' ? (entry.name.split('.').at(-1) ?? '') : (folder ?? '')
    kinds.set(kind, [...(kinds.get(kind) ?? []), file])
  }
  return kinds
}

async function flipAndStart(source: string, file: string, random: SeededRandom): Promise<Outcome> {
  const copy = join(directory.path, 'copy')
  await rm(copy, { recursive: true, force: true })
  await copyTree(source, copy)
  const where = await flipBit(join(copy, file), random)
  const server = await CurlewProcess.spawn({ dataDirectory: copy, args: SETTINGS })
  try {
    const ready = await server.whenReady('/healthz').then(
      () => true,
      () => false,
    )
    if (!ready) {
      expect(await server.exited, where).not.toEqual({ code: 0, signal: null })
      expect(server.output, where).toMatch(/damage|corrupt|checksum|invalid|format/i)
      return 'refused to start'
    }
    return await judge(server.baseUrl, where)
  } finally {
    await server.killHard()
  }
}

/** Reads all topics: each is whole, or the answer says that it is damaged. */
async function judge(baseUrl: string, where: string): Promise<Outcome> {
  let outcome: Outcome = 'same'
  for (const [topic, records] of expected) {
    const answer = await call(baseUrl, 'GET', `/v1/topics/${topic}/records`)
    const read = answer.status === 200 ? await tryReading(baseUrl, topic) : answer.text
    if (typeof read === 'string') {
      expect(read, where).toContain('partition-damaged')
      outcome = 'said damaged'
    } else {
      expect(read.length, where).toBe(records.length)
      expect(read, where).toEqual(records)
    }
  }
  return outcome
}

async function tryReading(baseUrl: string, topic: string): Promise<StoredRecord[] | string> {
  try {
    return await readTopic(baseUrl, topic)
  } catch (error) {
    return String(error)
  }
}

/** Turns one bit over, where the file is not just zeros; tells where. */
async function flipBit(path: string, random: SeededRandom): Promise<string> {
  const bytes = await readFile(path)
  let end = bytes.length
  while (end > 1 && bytes[end - 1] === 0) end -= 1
  const at = random.between(0, end)
  const bit = random.between(0, 8)
  const handle = await open(path, 'r+')
  await handle.write(Buffer.from([(bytes[at] ?? 0) ^ (1 << bit)]), 0, 1, at)
  await handle.close()
  return `bit ${bit} of byte ${at} of ${path}`
}

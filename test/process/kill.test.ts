/** `kill -9` at random moments, many times over: what was acknowledged is found again, in order. */
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CurlewProcess } from '../support/curlew-process.ts'
import { History } from '../support/history-checker.ts'
import { callJson } from '../support/http-client.ts'
import { Load, readTopic } from '../support/load.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { TempServer } from '../support/temp-server.ts'

const ROUNDS = 15
/** From one in each moment of the load to none at all. */
const CHECKPOINTS = ['100ms', '500ms', '10s']
const TOPICS = { 'one-log': 1, 'six-logs': 6 }

let server: TempServer

beforeAll(async () => {
  server = await TempServer.start('kill')
})
afterAll(() => server.close())

describe('kill -9 under load', () => {
  const random = seededRandom('kill -9 under load')
  const histories = new Map(Object.keys(TOPICS).map((topic) => [topic, new History()]))
  const historyOf = (topic: string): History => {
    const history = histories.get(topic)
    if (history === undefined) throw new Error(`no history of ${topic}`)
    return history
  }

  /** Kills a process that is still starting, so that recovery itself is interrupted. */
  const interruptRecovery = async (): Promise<void> => {
    const { port } = server.process
    const half = await CurlewProcess.spawn({ dataDirectory: server.dataDirectory, port })
    await delay(random.between(0, 600))
    await half.killHard()
  }

  const crash = async (round: number): Promise<void> => {
    const load = new Load({
      baseUrl: server.baseUrl,
      topics: Object.keys(TOPICS),
      writers: random.between(1, 16),
      readers: 2,
      history: historyOf,
      random,
      round,
      paddingBytes: random.pick([0, 100, 5_000]),
    })
    await load.acknowledged(random.between(1, 250))
    await delay(random.between(0, 10))
    await server.process.killHard()
    await load.finish()
    while (random.float() < 0.4) await interruptRecovery()
    await server.startAgain([`--checkpoint-interval-ms=${random.pick(CHECKPOINTS)}`])
  }

  const judge = async (): Promise<string[]> => {
    const anomalies: string[] = []
    for (const [topic, history] of histories) {
      anomalies.push(...history.anomalies(await readTopic(server.baseUrl, topic)))
    }
    return anomalies
  }

  it(`keeps every acknowledged record, in order, and tells the truth, ${ROUNDS} times`, async () => {
    for (const [topic, partitions] of Object.entries(TOPICS)) {
      const settings = { partitions, segmentBytes: 1_048_576 }
      const made = await callJson(server.baseUrl, 'PUT', `/v1/topics/${topic}`, settings)
      expect(made.status, made.text).toBe(201)
    }
    for (let round = 0; round < ROUNDS; round++) {
      await crash(round)
      expect(await judge(), `round ${round}`).toEqual([])
    }
    const written = [...histories.values()].map((history) => history.count('written'))
    expect(Math.min(...written)).toBeGreaterThan(ROUNDS)
    console.info(`acknowledged and found again: ${written.join(' + ')} records`)
  }, 300_000)
})

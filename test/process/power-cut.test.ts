/** The power fails: a real file system forgets what was not synced. Acknowledged records are there. */
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CurlewProcess } from '../support/curlew-process.ts'
import { within } from '../support/eventually.ts'
import { History } from '../support/history-checker.ts'
import { callJson } from '../support/http-client.ts'
import { Load, readTopic } from '../support/load.ts'
import { LoopMount, loopMountObstacle } from '../support/loop-mount.ts'
import { seededRandom } from '../support/seeded-random.ts'

const ROUNDS = 6
const DISK_BYTES = 1024 * 1024 * 1024
/** From one in each moment of the load to none at all. */
const CHECKPOINTS = ['100ms', '300ms', '10s']
const TOPICS = ['one', 'two', 'three']

const obstacle = loopMountObstacle()

if (obstacle !== undefined) {
  console.warn(`power cuts are not tested, this machine cannot mount a loop device: ${obstacle}`)
  it('has said why power cuts are not tested', () => {
    expect(obstacle).toMatch(/\S/)
  })
} else {
  describe('power cut', () => {
    const random = seededRandom('power cut')
    let disk: LoopMount
    let server: CurlewProcess

    beforeEach(() => {
      disk = new LoopMount(DISK_BYTES)
      disk.mount()
    })
    afterEach(async () => {
      await server.killHard()
      disk.remove()
    })

    const start = async (): Promise<void> => {
      server = await CurlewProcess.start({
        dataDirectory: `${disk.path}/data`,
        args: [`--checkpoint-interval-ms=${random.pick(CHECKPOINTS)}`],
      })
    }

    it(`loses nothing acknowledged, ${ROUNDS} times on one disk`, async () => {
      const history = new Map(TOPICS.map((topic) => [topic, new History()]))
      await start()
      for (const topic of TOPICS) {
        const path = `/v1/topics/${topic}`
        const settings = { partitions: 2, segmentBytes: 1_048_576 }
        expect((await callJson(server.baseUrl, 'PUT', path, settings)).status).toBe(201)
      }
      for (let round = 0; round < ROUNDS; round++) {
        const load = new Load({
          baseUrl: server.baseUrl,
          topics: TOPICS,
          writers: 12,
          readers: 1,
          history: (topic) => history.get(topic) ?? new History(),
          random,
          round,
          paddingBytes: random.pick([0, 2_000, 20_000]),
        })
        await load.acknowledged(random.between(1, 300))
        await delay(random.between(0, 20))
        disk.cutPower()
        const exit = await within('the end of a process whose disk is gone', 30_000, server.exited)
        expect(exit).not.toEqual({ code: 0, signal: null })
        await load.finish()
        disk.unmount()
        disk.mount()
        await start()
        for (const [topic, told] of history) {
          expect(told.anomalies(await readTopic(server.baseUrl, topic)), topic).toEqual([])
        }
      }
      const written = [...history.values()].map((told) => told.count('written'))
      expect(Math.min(...written)).toBeGreaterThan(0)
    }, 240_000)
  })
}

/** The disk runs full: produce is refused with 507, all else works, and space heals it. */
import { rmSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CurlewProcess } from '../support/curlew-process.ts'
import { eventually } from '../support/eventually.ts'
import { History } from '../support/history-checker.ts'
import type { Answer } from '../support/http-client.ts'
import { call, callJson } from '../support/http-client.ts'
import { readTopic } from '../support/load.ts'
import { TmpfsMount, tmpfsObstacle } from '../support/tmpfs-mount.ts'

const MIB = 1024 * 1024
const DISK_BYTES = 400 * MIB
const TOPIC = 'filling'

const obstacle = tmpfsObstacle()

if (obstacle !== undefined) {
  console.warn(`full disks are not tested, this machine cannot mount a tmpfs: ${obstacle}`)
  it('has said why full disks are not tested', () => {
    expect(obstacle).toMatch(/\S/)
  })
} else {
  describe('full disk', () => {
    let disk: TmpfsMount
    let server: CurlewProcess
    let history: History
    let sent = 0

    beforeEach(async () => {
      disk = new TmpfsMount(DISK_BYTES)
      history = new History()
      await start()
      const made = await callJson(server.baseUrl, 'PUT', `/v1/topics/${TOPIC}`, { partitions: 1 })
      expect(made.status, made.text).toBe(201)
    })
    afterEach(async () => {
      await server.killHard()
      disk.remove()
    })

    const start = async (): Promise<void> => {
      server = await CurlewProcess.start({ dataDirectory: `${disk.path}/data` })
    }

    const publish = async (bytes: number): Promise<Answer> => {
      const value = `${sent++}-${'x'.repeat(bytes)}`
      const answer = await call(server.baseUrl, 'POST', `/v1/topics/${TOPIC}/publish`, {
        headers: { 'content-type': 'text/plain' },
        body: value,
      })
      if (answer.status === 201) {
        const { partition, offset } = answer.json<{ partition: number; offset: number }>()
        history.wrote('w', value, { kind: 'written', partition, offset })
      } else {
        const { committed } = answer.json<{ committed: string }>()
        history.wrote('w', value, { kind: committed === 'no' ? 'refused' : 'unknown' })
      }
      return answer
    }

    /** Publishes until the server says that there is no room; that must come before the disk is twice full. */
    const fill = async (): Promise<Answer> => {
      for (let written = 0; written < 2 * DISK_BYTES; written += 900_000) {
        const answer = await publish(900_000)
        if (answer.status !== 201) return answer
      }
      throw new Error('the disk did not run full')
    }

    const expectTruth = async (): Promise<void> => {
      expect(history.anomalies(await readTopic(server.baseUrl, TOPIC))).toEqual([])
    }

    it('answers 507, stays up, serves reads, and goes on when space returns', async () => {
      const refused = await fill()
      expect(refused.json()).toMatchObject({
        code: 'disk-full',
        status: 507,
        retryable: true,
        committed: 'no',
      })
      expect(Number(refused.header('retry-after'))).toBeGreaterThan(0)
      expect((await call(server.baseUrl, 'GET', '/healthz')).status).toBe(200)
      await expectTruth()
      disk.resize(2 * DISK_BYTES)
      await eventually('written again', async () => (await publish(10)).status === 201 || undefined)
      expect((await publish(900_000)).status).toBe(201)
      await expectTruth()
    }, 120_000)

    it('goes on when deleting a topic makes room', async () => {
      await fill()
      await call(server.baseUrl, 'DELETE', `/v1/topics/${TOPIC}`)
      await eventually('written again', async () => {
        const answer = await call(server.baseUrl, 'POST', '/v1/topics/other/publish', { body: 'x' })
        return answer.status === 201 || undefined
      })
      expect((await call(server.baseUrl, 'GET', '/v1/topics/other/records')).text).toContain('"x"')
    }, 120_000)

    it('starts again where others took the last byte while it was down', async () => {
      expect((await publish(10)).status).toBe(201)
      await server.killHard()
      disk.fill()
      await start()
      await expectTruth()
      expect((await publish(10)).status).toBe(507)
    }, 120_000)

    it('says in one line that it cannot start, where not even its ballast is left to give up', async () => {
      await server.stop()
      rmSync(`${disk.path}/data/ballast`)
      disk.fill()
      await expect(start()).rejects.toThrow(/curlew: there is no space for the data folder/)
    }, 120_000)

    it('starts again on a full disk, by kill -9 and by SIGTERM, with all that was acknowledged', async () => {
      await fill()
      await server.killHard()
      await start()
      await expectTruth()
      await server.stop()
      await start()
      await expectTruth()
      disk.resize(2 * DISK_BYTES)
      await eventually('written again', async () => (await publish(10)).status === 201 || undefined)
      await expectTruth()
    }, 120_000)
  })
}

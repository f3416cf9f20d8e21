/** Two pages share a topic as members of a group, with nothing but an EventSource each. */
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import type { StoredRecord } from '../support/history-checker.ts'
import { call, callJson } from '../support/http-client.ts'
import { TempServer } from '../support/temp-server.ts'
import { browserObstacle, launchBrowser } from './chromium.ts'
import { PageServer } from './page-server.ts'

interface Seen {
  readonly seen: StoredRecord[]
  readonly opened: number
  readonly other: string[]
}

const TOPIC = 'shared'
const PARTITIONS = 4
const obstacle = browserObstacle()

if (obstacle !== undefined) {
  console.warn(`browsers are not tested: ${obstacle}`)
  it('has said why browsers are not tested', () => {
    expect(obstacle).toMatch(/\S/)
  })
} else {
  describe('EventSource in a group', () => {
    let browser: Browser
    let pages: PageServer
    let server: TempServer

    beforeAll(async () => {
      pages = await PageServer.start()
      browser = await launchBrowser()
      server = await TempServer.start('browser-group', corsArgs())
      const settings = { partitions: PARTITIONS }
      const made = await callJson(server.baseUrl, 'PUT', `/v1/topics/${TOPIC}`, settings)
      expect(made.status, made.text).toBe(201)
    })
    afterAll(async () => {
      await browser.close()
      pages.close()
      await server.close()
    })

    const corsArgs = (): string[] => [`--cors-origin=${pages.origin}`]
    const look = (page: Page): Promise<Seen> => page.evaluate('({ seen, opened, other })')
    let written = 0

    const openPage = async (): Promise<Page> => {
      const stream = `${server.baseUrl}/v1/groups/tabs/stream?topics=${TOPIC}`
      const page = await browser.newPage()
      await page.goto(`${pages.origin}/?stream=${encodeURIComponent(stream)}`)
      return page
    }
    const produce = async (count: number): Promise<void> => {
      const records = Array.from({ length: count }, () => {
        const value = `${written++}`
        return { value, partition: written % PARTITIONS }
      })
      const answer = await callJson(server.baseUrl, 'POST', `/v1/topics/${TOPIC}/records`, {
        records,
      })
      expect(answer.status, answer.text).toBe(200)
    }
    /** Values that all pages together have, each once unless it was sent again. */
    const have = async (opened: readonly Page[]): Promise<string[]> =>
      (await Promise.all(opened.map(look))).flatMap(({ seen }) => seen.map(({ value }) => value))
    const untilAll = async (opened: readonly Page[]): Promise<string[]> =>
      await eventually(
        `the pages have ${written} records`,
        async () => {
          const values = await have(opened)
          return new Set(values).size === written ? values : undefined
        },
        60_000,
      )
    const untilShared = async (members: number): Promise<void> => {
      await eventually(
        `${members} members share the partitions`,
        async () => {
          const group = await call(server.baseUrl, 'GET', '/v1/groups/tabs')
          const owned = group
            .json<{ members: { assigned: { partitions: number[] }[] }[] }>()
            .members.map(({ assigned }) => assigned[0]?.partitions.length ?? 0)
          return owned.length === members && owned.every((n) => n === PARTITIONS / members)
            ? true
            : undefined
        },
        60_000,
      )
    }

    it('shares, hands over without a repetition, and goes on after a crash of the server', async () => {
      const one = await openPage()
      await untilShared(1)
      await produce(20)
      await untilAll([one])
      // The first page is sent to commit what it loses, and comes back at once.
      const two = await openPage()
      await untilShared(2)
      expect((await look(one)).other).toContain('end {"reason":"rebalance"}')
      await produce(20)
      const shared = await untilAll([one, two])
      expect(shared).toHaveLength(written)
      expect((await look(two)).seen.length).toBe(10)
      await server.process.killHard()
      await server.startAgain(corsArgs())
      for (const page of [one, two]) {
        await eventually('the page is back', async () => {
          return (await look(page)).opened >= (page === one ? 3 : 2) ? true : undefined
        })
      }
      await produce(20)
      const after = await untilAll([one, two])
      expect(after).toHaveLength(written)
      await untilShared(2)
      await one.close()
      await two.close()
    }, 180_000)
  })
}

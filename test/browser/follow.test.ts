/** A plain EventSource in a real browser follows a topic while the server dies and comes back. */
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import type { StoredRecord } from '../support/history-checker.ts'
import { History } from '../support/history-checker.ts'
import { callJson } from '../support/http-client.ts'
import { Load, readTopic } from '../support/load.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { TempServer } from '../support/temp-server.ts'
import { browserObstacle, launchBrowser } from './chromium.ts'
import { FOLLOW_SCRIPT, PageServer } from './page-server.ts'

/** What the page keeps for the test. */
interface Seen {
  readonly seen: StoredRecord[]
  readonly opened: number
  readonly other: string[]
}

const CRASHES = 3
const TOPIC = 'watched'

const obstacle = browserObstacle()

if (obstacle !== undefined) {
  console.warn(`browsers are not tested: ${obstacle}`)
  it('has said why browsers are not tested', () => {
    expect(obstacle).toMatch(/\S/)
  })
} else {
  describe('EventSource', () => {
    let browser: Browser
    let pages: PageServer
    let server: TempServer

    beforeAll(async () => {
      pages = await PageServer.start()
      browser = await launchBrowser()
      server = await TempServer.start('browser', corsArgs())
      const made = await callJson(server.baseUrl, 'PUT', `/v1/topics/${TOPIC}`, { partitions: 3 })
      expect(made.status, made.text).toBe(201)
    })
    afterAll(async () => {
      await browser.close()
      pages.close()
      await server.close()
    })

    const corsArgs = (): string[] => [`--cors-origin=${pages.origin}`]
    const streamUrl = (): string => `${server.baseUrl}/v1/topics/${TOPIC}/stream?from=earliest`

    const openPages = async (): Promise<Page[]> => {
      const foreign = await browser.newPage()
      await foreign.goto(`${pages.origin}/?stream=${encodeURIComponent(streamUrl())}`)
      const docs = await browser.newPage()
      await docs.goto(`${server.baseUrl}/docs`)
      await docs.evaluate(FOLLOW_SCRIPT)
      await docs.evaluate(
        `window.follow(${JSON.stringify(new URL(streamUrl()).pathname)} + '?from=earliest')`,
      )
      return [foreign, docs]
    }

    /** Resolves once the page has connected for the `times`-th time. */
    const connected = (page: Page, times: number): Promise<true> =>
      eventually(
        `${page.url()} has connected ${times} times`,
        async () => ((await page.evaluate('opened')) === times ? true : undefined),
        60_000,
      )

    const crashUnderLoad = async (history: History, round: number): Promise<void> => {
      const random = seededRandom(`browser, crash ${round}`)
      const load = new Load({
        baseUrl: server.baseUrl,
        topics: [TOPIC],
        writers: 4,
        readers: 0,
        history: () => history,
        random,
        round,
      })
      await load.acknowledged(random.between(20, 150))
      await server.process.killHard()
      await load.finish()
      await server.startAgain(corsArgs())
    }

    it(`has every record once, by partition and offset, over ${CRASHES} crashes`, async () => {
      const history = new History()
      const opened = await openPages()
      for (let round = 0; round < CRASHES; round++) {
        for (const page of opened) await connected(page, round + 1)
        await crashUnderLoad(history, round)
      }
      await callJson(server.baseUrl, 'POST', `/v1/topics/${TOPIC}/records`, {
        records: [0, 1, 2].map((partition) => ({ partition, value: `last ${partition}` })),
      })
      const stored = await readTopic(server.baseUrl, TOPIC)
      expect(stored.length).toBeGreaterThan(CRASHES * 20)
      for (const page of opened) {
        const look = (): Promise<Seen> => page.evaluate('({ seen, opened, other })')
        const { seen, opened: connections } = await eventually(
          `${page.url()} has as many records as the topic`,
          async () => {
            const state = await look()
            return state.seen.length >= stored.length ? state : undefined
          },
          60_000,
        )
        expect(inOrder(seen)).toEqual(inOrder(stored))
        expect(connections).toBe(CRASHES + 1)
        await page.close()
      }
    }, 180_000)

    it('is not given to a page whose origin is not allowed', async () => {
      const page = await browser.newPage()
      const stranger = pages.origin.replace('127.0.0.1', 'localhost')
      await page.goto(`${stranger}/?stream=${encodeURIComponent(streamUrl())}`)
      const outcome = await page.evaluate(`new Promise((resolve) => {
        const source = new EventSource(${JSON.stringify(streamUrl())})
        source.onerror = () => resolve(source.readyState === EventSource.CLOSED ? 'refused' : 'retries')
        source.onopen = () => resolve('opened')
      })`)
      expect(outcome).toBe('refused')
      expect(await page.evaluate('window.seen')).toEqual([])
      await page.close()
    })
  })
}

/** By partition, in the order in which they came. */
function inOrder(records: readonly StoredRecord[]): StoredRecord[][] {
  const byPartition: StoredRecord[][] = []
  for (const { partition, offset, value } of records) {
    byPartition[partition] ??= []
    byPartition[partition].push({ partition, offset, value })
  }
  return byPartition
}

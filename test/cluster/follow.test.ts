/** A plain EventSource in a real browser follows a topic through the proxy while fronts and leaders go away. */
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { browserObstacle, launchBrowser } from '../browser/chromium.ts'
import { PageServer } from '../browser/page-server.ts'
import { ClusterLoad } from '../support/cluster-load.ts'
import { CurlewCluster, clusterObstacle } from '../support/curlew-cluster.ts'
import { describeIfPossible } from '../support/describe-if-possible.ts'
import { eventually } from '../support/eventually.ts'
import { Haproxy, haproxyObstacle } from '../support/haproxy.ts'
import type { StoredRecord } from '../support/history-checker.ts'
import { History } from '../support/history-checker.ts'
import { readTopic } from '../support/load.ts'
import { ReaderPath } from '../support/reader-path.ts'
import { seededRandom } from '../support/seeded-random.ts'

const TOPIC = 'watched'
const PARTITIONS = 3
const SOME = 10

interface Seen {
  readonly seen: StoredRecord[]
  readonly opened: number
  readonly other: string[]
}

const obstacle = clusterObstacle() ?? haproxyObstacle() ?? browserObstacle()

describeIfPossible('EventSource at a cluster', obstacle, () => {
  const random = seededRandom('EventSource at a cluster')
  let cluster: CurlewCluster
  let proxy: Haproxy
  let pages: PageServer
  let browser: Browser

  beforeAll(async () => {
    pages = await PageServer.start()
    browser = await launchBrowser()
    const frontArgs = [`--cors-origin=${pages.origin}`]
    cluster = await CurlewCluster.start({ label: 'follow', random, frontArgs })
    await cluster.ensureTopic(TOPIC, { partitions: PARTITIONS })
    const [first = '', second = ''] = cluster.urls
    proxy = await Haproxy.start([first, second])
  })
  afterAll(async () => {
    await browser.close()
    pages.close()
    proxy.close()
    await cluster.close()
  })

  const look = (page: Page): Promise<Seen> => page.evaluate('({ seen, opened, other })')

  /** Each of these ends every stream of a front, or the leadership that it reads from. */
  const blows: Readonly<Record<string, (load: ClusterLoad) => Promise<void>>> = {
    'kill -9 of the first front': async (load) => {
      await cluster.killFront(0)
      await load.progress(SOME, 'the first front is dead')
      await cluster.startFront(0)
    },
    'kill -9 of a leader': async (load) => {
      const leader = cluster.node(await cluster.leaderOf(TOPIC))
      await leader.killHard()
      await load.progress(SOME, 'a leader is dead')
      await leader.start()
    },
    'a restart of the second front': async (load) => {
      await cluster.fronts[1]?.stop()
      await load.progress(SOME, 'the second front is stopped')
      await cluster.startFront(1)
    },
    'a restart of a leader': async (load) => {
      const leader = cluster.node(await cluster.leaderOf(TOPIC))
      await leader.stop()
      await load.progress(SOME, 'a leader is stopped')
      await leader.start()
    },
  }

  it('has every record once, in the order of its partition', async () => {
    const streamUrl = `${proxy.url}/v1/topics/${TOPIC}/stream?from=earliest`
    const opened: Page[] = []
    for (let i = 0; i < 2; i++) {
      const page = await browser.newPage()
      await page.goto(`${pages.origin}/?stream=${encodeURIComponent(streamUrl)}`)
      opened.push(page)
    }
    const history = new History()
    const load = new ClusterLoad({
      urls: () => [proxy.url],
      topic: TOPIC,
      partitions: PARTITIONS,
      history,
      random,
      writers: 3,
      readers: 1,
      streams: 1,
    })
    for (const [name, blow] of Object.entries(blows)) {
      await load.progress(SOME, `before ${name}`)
      const before = await Promise.all(opened.map(look))
      await blow(load)
      await cluster.untilWhole([TOPIC])
      for (const [i, page] of opened.entries()) {
        const known = before[i]?.seen.length ?? 0
        await eventually(`page ${i} goes on after ${name}`, async () => {
          return (await look(page)).seen.length > known + SOME || undefined
        })
      }
    }
    expect(await load.anomalies(() => true)).toEqual([])
    const stored = await readTopic(cluster.url, TOPIC)
    for (const [i, page] of opened.entries()) {
      const { seen, other } = await eventually(`page ${i} has everything`, async () => {
        const state = await look(page)
        return state.seen.length >= stored.length ? state : undefined
      })
      const path = new ReaderPath(`page ${i}`)
      for (const record of seen) path.took(record)
      expect(path.faults).toEqual([])
      expect(seen).toHaveLength(stored.length)
      expect(other.filter((event) => !event.startsWith('end'))).toEqual([])
    }
    expect(stored.length).toBeGreaterThan(200)
  }, 180_000)
})

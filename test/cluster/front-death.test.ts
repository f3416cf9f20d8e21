/** A front is killed while a client waits at it: the same call at another front goes on where the first one stood. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { CurlewCluster, clusterObstacle } from '../support/curlew-cluster.ts'
import { describeIfPossible } from '../support/describe-if-possible.ts'
import { EventStream } from '../support/event-stream.ts'
import type { StoredRecord } from '../support/history-checker.ts'
import { call, callJson } from '../support/http-client.ts'

const TOPICS = ['polled', 'streamed'] as const
type Topic = (typeof TOPICS)[number]

interface Page {
  readonly records: StoredRecord[]
  readonly cursor: string
}

describeIfPossible('death of a front', clusterObstacle(), () => {
  let cluster: CurlewCluster

  beforeAll(async () => {
    cluster = await CurlewCluster.start({ label: 'front-death' })
    for (const topic of TOPICS) await cluster.ensureTopic(topic, { partitions: 3 })
  })
  afterAll(() => cluster.close())

  const write = async (url: string, topic: Topic, values: readonly string[]): Promise<void> => {
    const records = values.map((value, i) => ({ value, partition: i % 3 }))
    const answer = await callJson(url, 'POST', `/v1/topics/${topic}/records`, { records })
    expect(answer.status, answer.text).toBe(200)
  }
  const page = async (url: string, query: string): Promise<Page> => {
    const answer = await call(url, 'GET', `/v1/topics/polled/records?${query}`)
    expect(answer.status, answer.text).toBe(200)
    return answer.json<Page>()
  }

  it('costs a long-poll nothing but a repetition', async () => {
    const [first = '', second = ''] = cluster.urls
    await write(first, 'polled', ['a', 'b', 'c'])
    const { records, cursor } = await page(first, 'from=earliest')
    expect(records).toHaveLength(3)
    const waiting = page(first, `wait=30&cursor=${cursor}`).then(
      () => 'answered',
      () => 'broken',
    )
    await cluster.killFront(0)
    expect(await waiting).toBe('broken')
    const repeated = page(second, `wait=30&cursor=${cursor}`)
    await write(second, 'polled', ['d'])
    const next = await repeated
    expect(next.records.map(({ value }) => value)).toEqual(['d'])
    await cluster.startFront(0)
  })

  it('costs a stream nothing but a reconnect', async () => {
    const [first = '', second = ''] = cluster.urls
    const before = await EventStream.open(first, `/v1/topics/streamed/stream?from=latest`)
    await write(second, 'streamed', ['e', 'f'])
    const events = await before.take(1)
    await cluster.killFront(0)
    events.push(...(await before.rest()))
    const after = await EventStream.open(second, `/v1/topics/streamed/stream`, {
      headers: { 'last-event-id': events.at(-1)?.id ?? '' },
    })
    await write(second, 'streamed', ['g'])
    while (events.length < 3) events.push(...(await after.take(1)))
    const values = events.map(({ data }) => (JSON.parse(data) as StoredRecord).value)
    expect(new Set(values)).toEqual(new Set(['e', 'f', 'g']))
    expect(values).toHaveLength(3)
    await Promise.all([before.close(), after.close()])
    await cluster.startFront(0)
  })
})

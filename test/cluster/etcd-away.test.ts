/** While etcd is away records go on to be written and read, also through a front that starts meanwhile; what needs it waits, and says so. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { CurlewCluster, clusterObstacle } from '../support/curlew-cluster.ts'
import { describeIfPossible } from '../support/describe-if-possible.ts'
import { EventStream } from '../support/event-stream.ts'
import { eventually } from '../support/eventually.ts'
import { call, callJson } from '../support/http-client.ts'
import { readTopic } from '../support/load.ts'

const TOPIC = 'independent'

describeIfPossible('etcd away', clusterObstacle(), () => {
  let cluster: CurlewCluster

  beforeAll(async () => {
    cluster = await CurlewCluster.start({ label: 'etcd-away' })
    await cluster.ensureTopic(TOPIC, { partitions: 3 })
  })
  afterAll(() => cluster.close())

  const publish = async (url: string, value: string): Promise<void> => {
    const answer = await call(url, 'POST', `/v1/topics/${TOPIC}/publish`, { body: value })
    expect(answer.status, answer.text).toBe(201)
  }
  const valuesAt = async (url: string): Promise<string[]> =>
    (await readTopic(url, TOPIC)).map(({ value }) => value)

  it('a front that starts meanwhile serves all but changes of topics', async () => {
    await publish(cluster.url, '"before"')
    await cluster.etcd.killHard()
    const front = await cluster.guestFront()
    await front.whenReady()
    const url = front.baseUrl
    const stream = await EventStream.open(url, `/v1/topics/${TOPIC}/stream?from=latest`)
    await publish(url, '"through the new front"')
    await publish(cluster.url, '"through the old one"')
    const events = await stream.take(2)
    expect(events.map(({ data }) => (JSON.parse(data) as { value: string }).value)).toEqual([
      'through the new front',
      'through the old one',
    ])
    await stream.close()
    expect(await valuesAt(url)).toEqual(
      expect.arrayContaining(['before', 'through the new front', 'through the old one']),
    )
    const made = await callJson(url, 'PUT', '/v1/topics/later', {})
    expect(made.json()).toMatchObject({ code: 'metadata-unavailable', retryable: true })
    await cluster.etcd.restart()
    await eventually(
      'a topic is made again',
      async () => (await callJson(url, 'PUT', '/v1/topics/later', {})).status === 201 || undefined,
    )
    await front.stop()
  })

  it('a storage node that starts meanwhile waits for it, says so, and then takes part', async () => {
    const node = cluster.node(2)
    await node.stop()
    await cluster.etcd.killHard()
    const started = await node.spawn()
    const reasons = await eventually('the node says what it waits for', async () => {
      const answer = await call(started.probeUrl, 'GET', '/readyz')
      const { reasons: told } = answer.json<{ reasons: string[] }>()
      return node.output.includes('waiting for the metadata store') ? told : undefined
    })
    expect(reasons).toHaveLength(1)
    await cluster.etcd.restart()
    await started.whenReady()
    await cluster.untilWhole([TOPIC])
    await publish(cluster.url, '"after"')
  })

  it('a group goes on when no leader can renew its lease', async () => {
    const group = '/v1/groups/independent'
    await publish(cluster.url, '"for the group"')
    const joined = await callJson(cluster.url, 'POST', `${group}/members`, {
      memberId: 'm',
      topics: [TOPIC],
    })
    const { memberEpoch } = joined.json<{ memberEpoch: number }>()
    const beat = () =>
      callJson(cluster.url, 'POST', `${group}/members/m/heartbeat`, { memberEpoch })
    expect((await beat()).status).toBe(200)
    await cluster.etcd.killHard()
    for (const id of [1, 2, 3]) await eventually('its lease vouches for nothing', () => isOld(id))
    const beaten = await beat()
    expect([beaten.status, beaten.text]).toEqual([200, joined.text])
    const polled = await callJson(cluster.url, 'POST', `${group}/members/m/poll`, { memberEpoch })
    const { cursor, records } = polled.json<{ cursor: string; records: unknown[] }>()
    expect(records.length).toBeGreaterThan(0)
    const offsets = await callJson(cluster.url, 'POST', `${group}/offsets`, { cursor })
    expect(offsets.status, offsets.text).toBe(200)
    await cluster.etcd.restart()
    await cluster.untilWhole([TOPIC])
  })

  /** Older than its time to live. */
  async function isOld(nodeId: number): Promise<true | undefined> {
    const { text } = await call(cluster.node(nodeId).process.probeUrl, 'GET', '/metrics')
    const age = /^curlew_lease_age_seconds (.*)$/m.exec(text)?.[1]
    return Number(age) > 2 || undefined
  }

  it('a node that is stopped meanwhile ends in good order', async () => {
    await cluster.etcd.killHard()
    const node = cluster.node(3)
    expect(await node.stop()).toEqual({ code: 0, signal: null })
    expect(node.output).toContain('this node leaves without handing over all that it leads')
    expect(node.output).not.toContain('not all work could be finished in time')
    await cluster.etcd.restart()
    await node.start()
    await cluster.untilWhole([TOPIC])
  })
})

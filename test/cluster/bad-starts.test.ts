/** Starts that would harm the cluster: each is refused in words, or waits and says for what; the cluster goes on. */
import { rm } from 'node:fs/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { CurlewCluster, clusterObstacle, SECRET } from '../support/curlew-cluster.ts'
import { CurlewProcess } from '../support/curlew-process.ts'
import { describeIfPossible } from '../support/describe-if-possible.ts'
import { eventually, within } from '../support/eventually.ts'
import { freePort } from '../support/free-port.ts'
import { call } from '../support/http-client.ts'
import { readTopic } from '../support/load.ts'
import type { MemberPlace } from '../support/storage-member.ts'
import { memberOptions } from '../support/storage-member.ts'
import type { TempDirectory } from '../support/temp-directory.ts'
import { makeTempDirectory } from '../support/temp-directory.ts'

const TOPIC = 'guarded'
const EMPTY = ['--accept-empty-data=true']

describeIfPossible('bad starts', clusterObstacle(), () => {
  let cluster: CurlewCluster
  let spare: TempDirectory
  const strangers: CurlewProcess[] = []

  beforeAll(async () => {
    cluster = await CurlewCluster.start({ label: 'bad-starts' })
    spare = await makeTempDirectory('spare')
    await cluster.ensureTopic(TOPIC, { partitions: 3 })
    await publish('first')
  })
  afterEach(async () => {
    for (const stranger of strangers.splice(0)) await stranger.killHard()
  })
  afterAll(async () => {
    await cluster.close()
    await spare.remove()
  })

  const publish = async (value: string): Promise<void> => {
    const answer = await call(cluster.url, 'POST', `/v1/topics/${TOPIC}/publish`, { body: value })
    expect(answer.status, answer.text).toBe(201)
  }

  /** The place of a node, with ports of its own and what else differs. */
  const at = async (nodeId: number, more: Partial<MemberPlace> = {}): Promise<MemberPlace> => {
    const [port, opsPort] = [await freePort(), await freePort()]
    const advertise = `http://127.0.0.1:${port}`
    return { ...cluster.node(nodeId).place, port, opsPort, advertise, ...more }
  }

  const spawn = async (
    place: MemberPlace,
    args: readonly string[] = [],
  ): Promise<CurlewProcess> => {
    const stranger = await CurlewProcess.spawn(memberOptions(place, args))
    strangers.push(stranger)
    return stranger
  }

  /** What a process says that does not start. */
  const refusalOf = async (place: MemberPlace, args: readonly string[] = []): Promise<string> => {
    const stranger = await spawn(place, args)
    const exit = await within(`${stranger.output} ended`, 30_000, stranger.exited)
    expect(exit, stranger.output).toEqual({ code: 1, signal: null })
    const told = stranger.output.split('\n').filter((line) => line.startsWith('curlew: '))
    expect(told, stranger.output).toHaveLength(1)
    return told[0] ?? ''
  }

  describe('a storage node', () => {
    it('with another secret is refused by those that are up, and never registered', async () => {
      const place = await at(1, { nodeId: 4, dataDirectory: spare.path, secret: 'another' })
      expect(await refusalOf(place)).toMatch(
        /^curlew: node \d at http.* refuses the calls of this node \(bad-signature\): give this node the same cluster secret/,
      )
      expect((await cluster.state()).nodes.map(({ id }) => id)).toEqual([1, 2, 3])
    })

    it('with the data of another cluster', async () => {
      await cluster.node(3).stop()
      const refusal = await refusalOf(await at(3), ['--etcd-prefix=/another'])
      expect(refusal).toMatch(/belongs to cluster [0-9a-f]{32}, this node to [0-9a-f]{32}$/)
      await cluster.node(3).start()
    })

    it('with the data of another node', async () => {
      await cluster.node(3).stop()
      const refusal = await refusalOf(await at(3, { nodeId: 4 }))
      expect(refusal).toMatch(/belongs to node 3, this is node 4$/)
      await cluster.node(3).start()
    })

    it('with data that another process uses', async () => {
      const refusal = await refusalOf(await at(3))
      expect(refusal).toMatch(/another process uses the data folder .*node-3: stop it/)
    })

    it('under the number of a node that is up', async () => {
      const place = await at(2, { dataDirectory: `${spare.path}/taken` })
      expect(await refusalOf(place)).toContain(
        'is empty, but the cluster has records on node 2: is its disk mounted?',
      )
      const { url } = { url: cluster.node(2).place.advertise }
      expect(await refusalOf(place, EMPTY)).toContain(
        `node id 2 is in use: a live process at ${url} has registered it`,
      )
      expect(cluster.node(2).output).not.toContain('the registration of this node has ended')
      await publish('with everybody')
    })

    it('whose etcd cannot be reached waits, says so, and stops when told', async () => {
      const nowhere = `http://127.0.0.1:${await freePort()}`
      const dataDirectory = `${spare.path}/waiting`
      const stranger = await spawn(await at(1, { nodeId: 4, etcd: nowhere, dataDirectory }))
      await eventually('it says what it waits for', async () => {
        const ready = await call(stranger.probeUrl, 'GET', '/readyz')
        expect(ready.status).toBe(503)
        return stranger.output.includes('waiting for the metadata store') || undefined
      })
      expect(await stranger.stop()).toEqual({ code: 0, signal: null })
    })
  })

  describe('a front', () => {
    it('with another secret waits, and says that it is refused', async () => {
      const front = await cluster.guestFront([], 'another')
      await eventually(
        'it says so',
        () =>
          front.output.includes('a node refuses our calls: The signature is not right.') ||
          undefined,
      )
      expect(await front.stop()).toEqual({ code: 0, signal: null })
    })
  })

  describe('a node whose data are gone', () => {
    /** Between partitions there is no order. */
    const values = async (): Promise<ReadonlySet<string>> => {
      const records = await readTopic(cluster.url, TOPIC)
      return new Set(
        records.map((record) => `${record.partition}@${record.offset} ${record.value}`),
      )
    }

    it('is refused, and if that is accepted votes for nothing until it has copied everything', async () => {
      await publish('before the loss')
      const before = await values()
      const [node, ...healthy] = [cluster.node(1), cluster.node(2), cluster.node(3)]
      await Promise.all([node, ...healthy].map((member) => member.killHard()))
      await rm(node.place.dataDirectory, { recursive: true })
      expect(await refusalOf(node.place)).toContain(
        'is empty, but the cluster has records on node 1: is its disk mounted?',
      )
      await node.start(EMPTY)
      // It is the controller now, and nobody else is up; still it must lead nothing.
      const left = await eventually('the emptied node is alone, and nobody leads', async () => {
        const { nodes, controller } = await cluster.state()
        const states = await cluster.partitions(TOPIC)
        const isAlone = nodes.length === 1 && controller === 1
        return isAlone && states.every(({ leader }) => leader === -1) ? states : undefined
      })
      for (const { isr, elr } of left) expect([...isr, ...elr]).not.toContain(1)
      await Promise.all(healthy.map((member) => member.start()))
      await cluster.untilWhole([TOPIC])
      expect(await values()).toEqual(before)
      await Promise.all(healthy.map((member) => member.stop()))
      await eventually('the copy serves what was copied', async () => {
        const states = await cluster.partitions(TOPIC)
        return states.every(({ leader }) => leader === 1) || undefined
      })
      expect(await values()).toEqual(before)
      await Promise.all(healthy.map((member) => member.start()))
      await cluster.untilWhole([TOPIC])
    })
  })

  it('the cluster goes on', async () => {
    expect(SECRET).not.toBe('another')
    await publish('last')
  })
})

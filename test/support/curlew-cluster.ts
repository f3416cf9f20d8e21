/** A whole cluster of real processes for tests: one etcd, storage nodes, fronts, and the links between. */
import { join } from 'node:path'
import process from 'node:process'
import type { ClusterNamespaces } from './cluster-namespaces.ts'
import { ProxiedNetwork } from './cluster-network.ts'
import { CurlewProcess, ENTRY } from './curlew-process.ts'
import { EtcdProcess, hasEtcd } from './etcd-process.ts'
import { eventually } from './eventually.ts'
import { freePort } from './free-port.ts'
import { call, callJson } from './http-client.ts'
import type { SeededRandom } from './seeded-random.ts'
import { seededRandom } from './seeded-random.ts'
import type { MemberPlace } from './storage-member.ts'
import { StorageMember } from './storage-member.ts'
import type { TempDirectory } from './temp-directory.ts'
import { makeTempDirectory } from './temp-directory.ts'

export const SECRET = 'what the nodes of a test cluster know'

export interface ClusterOptions {
  readonly label: string
  readonly storageNodes?: number
  readonly fronts?: number
  readonly storageArgs?: readonly string[]
  readonly frontArgs?: readonly string[]
  readonly random?: SeededRandom
  /** Where a node keeps its data, if not in the cluster's folder. */
  readonly dataDirectory?: (nodeId: number) => string | undefined
  /** Each node in a network of its own, instead of proxies between them. */
  readonly namespaces?: ClusterNamespaces
}

export interface PartitionState {
  readonly partition: number
  readonly leader: number
  readonly leaderEpoch: number
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  readonly elr: readonly number[]
  readonly unclean?: object
}

export interface ClusterState {
  readonly clusterId: string
  readonly controller: number
  readonly nodes: readonly { readonly id: number; readonly incarnation: number }[]
}

/** Why there can be no cluster here; undefined when there can. */
export function clusterObstacle(): string | undefined {
  return hasEtcd() ? undefined : 'there is no etcd'
}

/** Until all replicas are in sync again, on two busy processors. */
const RECOVERY_MS = 90_000

export class CurlewCluster {
  readonly etcd: EtcdProcess
  readonly network: ProxiedNetwork
  readonly nodes: StorageMember[] = []
  readonly fronts: CurlewProcess[] = []
  readonly #options: ClusterOptions
  readonly #directory: TempDirectory
  /** Of fronts that were started beside those of the cluster. */
  readonly #guests: CurlewProcess[] = []

  private constructor(
    etcd: EtcdProcess,
    directory: TempDirectory,
    network: ProxiedNetwork,
    options: ClusterOptions,
  ) {
    this.etcd = etcd
    this.#directory = directory
    this.#options = options
    this.network = network
  }

  static async start(options: ClusterOptions): Promise<CurlewCluster> {
    const random = options.random ?? seededRandom(options.label)
    const { namespaces } = options
    const [etcd, directory] = await Promise.all([
      EtcdProcess.start(namespaces && { host: namespaces.outside }),
      makeTempDirectory(options.label),
    ])
    if (namespaces !== undefined) namespaces.etcdPort = Number(new URL(etcd.url).port)
    const network = new ProxiedNetwork(random)
    const cluster = new CurlewCluster(etcd, directory, network, options)
    try {
      await cluster.#start()
      return cluster
    } catch (error) {
      await cluster.close()
      throw error
    }
  }

  node(nodeId: number): StorageMember {
    const member = this.nodes[nodeId - 1]
    if (member === undefined) throw new Error(`there is no node ${nodeId}`)
    return member
  }

  get urls(): readonly string[] {
    return this.fronts.map(({ baseUrl }) => baseUrl)
  }

  get url(): string {
    return this.#front(0).baseUrl
  }

  async ensureTopic(name: string, settings: object): Promise<void> {
    const answer = await callJson(this.url, 'PUT', `/v1/topics/${name}`, settings)
    if (answer.status !== 201) throw new Error(`${name}: ${answer.status} ${answer.text}`)
    await this.untilWhole([name])
  }

  async partitions(topic: string, url = this.url): Promise<readonly PartitionState[]> {
    const answer = await call(url, 'GET', `/v1/topics/${topic}`)
    if (answer.status !== 200) throw new Error(`${topic}: ${answer.status} ${answer.text}`)
    return answer.json<{ partitions: PartitionState[] }>().partitions
  }

  async leaderOf(topic: string, partition = 0): Promise<number> {
    return await eventually(`partition ${partition} of ${topic} has a leader`, async () => {
      const { leader = -1 } = (await this.partitions(topic))[partition] ?? {}
      return leader > 0 ? leader : undefined
    })
  }

  async state(url = this.url): Promise<ClusterState> {
    const answer = await call(url, 'GET', '/v1/cluster')
    if (answer.status !== 200) throw new Error(`the cluster: ${answer.status} ${answer.text}`)
    return answer.json<ClusterState>()
  }

  async controller(): Promise<number> {
    return await eventually('there is a controller', async () => {
      const { controller } = await this.state()
      return controller > 0 ? controller : undefined
    })
  }

  /** Resolves when every node is up and every replica of these topics in sync. */
  async untilWhole(topics: readonly string[], deadlineMs = RECOVERY_MS): Promise<void> {
    let last: unknown
    const isWhole = async (): Promise<true | undefined> => {
      for (const url of this.urls) {
        const { nodes } = await this.state(url)
        if (nodes.length < this.nodes.length) {
          last = nodes
          return
        }
        for (const topic of topics) {
          const partitions = await this.partitions(topic, url)
          last = partitions
          const isSound = ({ leader, isr, replicas }: PartitionState) =>
            leader > 0 && isr.length === replicas.length
          if (!partitions.every(isSound)) return
        }
      }
      return true
    }
    await eventually('all replicas are in sync', isWhole, deadlineMs).catch((error: unknown) => {
      throw new Error(`not whole: ${JSON.stringify(last)}\n${this.story()}`, { cause: error })
    })
  }

  /** Starts a front beside those of the cluster. */
  async guestFront(args: readonly string[] = [], secret = SECRET): Promise<CurlewProcess> {
    const front = await CurlewProcess.spawn({
      role: 'front',
      env: { CURLEW_CLUSTER_SECRET: secret },
      args: [...this.#frontArgs(), ...args],
    })
    this.#guests.push(front)
    return front
  }

  /** Kills a front and returns at once. */
  async killFront(index: number): Promise<void> {
    await this.#front(index).killHard()
  }

  /** Starts a front again on its port; resolves when it serves. */
  async startFront(index: number): Promise<void> {
    this.fronts[index] = await this.#spawnFront(this.fronts[index]?.port)
    await this.fronts[index]?.whenReady()
  }

  /** Lines that explain a failure: what the nodes held to be worth a warning, the latest last. */
  story(lines = 60): string {
    const all = [
      ...this.nodes.map(({ nodeId, output }) => ({ name: `storage-${nodeId}`, output })),
      ...this.fronts.map(({ output }, i) => ({ name: `front-${i + 1}`, output })),
    ]
    return all
      .flatMap(({ name, output }) => {
        const told = output.split('\n').filter((line) => line.trim() !== '')
        return told.slice(-lines).map((line) => `${name}: ${line}`)
      })
      .join('\n')
  }

  async close(): Promise<void> {
    const processes = [...this.#guests, ...this.fronts, ...this.nodes.map((node) => node.process)]
    await Promise.all(processes.map((running) => running.killHard()))
    await this.network.close()
    await this.etcd.close()
    await this.#directory.remove()
  }

  async #start(): Promise<void> {
    const { storageNodes = 3, fronts = 2 } = this.#options
    for (let nodeId = 1; nodeId <= storageNodes; nodeId++) {
      this.nodes.push(new StorageMember(await this.#place(nodeId)))
    }
    for (const member of this.nodes) await member.spawn()
    for (let i = 0; i < fronts; i++) this.fronts.push(await this.#spawnFront())
    await Promise.all(this.nodes.map((member) => member.process.whenReady()))
    await Promise.all(this.fronts.map((front) => front.whenReady()))
    await this.untilWhole([])
  }

  async #place(nodeId: number): Promise<MemberPlace> {
    const [port, opsPort] = [await freePort(), await freePort()]
    const { namespaces, storageArgs, dataDirectory } = this.#options
    const place = {
      nodeId,
      port,
      opsPort,
      dataDirectory: dataDirectory?.(nodeId) ?? join(this.#directory.path, `node-${nodeId}`),
      secret: SECRET,
      args: storageArgs ?? [],
    }
    if (namespaces !== undefined) {
      const host = namespaces.address(nodeId)
      const command = [...namespaces.command(nodeId), process.execPath, ENTRY]
      return { ...place, host, command, etcd: this.etcd.url, advertise: `http://${host}:${port}` }
    }
    const host = '127.0.0.1'
    const urls = { node: `http://${host}:${port}`, etcd: this.etcd.url }
    const ways = await this.network.join(nodeId, urls)
    return { ...place, host, etcd: ways.etcd, advertise: ways.node }
  }

  #front(index: number): CurlewProcess {
    const front = this.fronts[index]
    if (front === undefined) throw new Error(`there is no front ${index}`)
    return front
  }

  #frontArgs(): string[] {
    const seeds = this.nodes.map(({ place }) => place.advertise).join(',')
    return [`--storage=${seeds}`, ...(this.#options.frontArgs ?? [])]
  }

  #spawnFront(port?: number): Promise<CurlewProcess> {
    return CurlewProcess.spawn({
      role: 'front',
      ...(port !== undefined && { port }),
      env: { CURLEW_CLUSTER_SECRET: SECRET },
      args: this.#frontArgs(),
    })
  }
}

/** A cluster of Curlew under measurement: one etcd, storage nodes and a front, started from source. */
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePort } from './free-port.ts'
import type { RunningProcess, Stage } from './stage.ts'

export interface ClusterOptions {
  readonly storageNodes: number
  /** Time after which a silent node counts as gone. */
  readonly leaseTtlMs?: number
}

interface StorageNode {
  readonly nodeId: number
  readonly process: RunningProcess
}

export interface PartitionState {
  readonly partition: number
  readonly leader: number
  readonly isr: readonly number[]
}

const EXECUTABLE = fileURLToPath(new URL('../../src/bin/curlew.ts', import.meta.url))
const SECRET = 'benchmark'
const READY_MS = 120_000
const POLL_MS = 20
const LEASE_TTL_MS = 10_000

export class CurlewCluster implements AsyncDisposable {
  readonly leaseTtlMs: number
  readonly #stage: Stage
  readonly #processes: RunningProcess[] = []
  readonly #storage: StorageNode[] = []
  #front: RunningProcess | undefined
  #etcdPort = 0
  #frontPort = 0

  private constructor(stage: Stage, options: ClusterOptions) {
    this.#stage = stage
    this.leaseTtlMs = options.leaseTtlMs ?? LEASE_TTL_MS
  }

  static async start(stage: Stage, options: ClusterOptions): Promise<CurlewCluster> {
    const cluster = new CurlewCluster(stage, options)
    await cluster.#startEtcd()
    const urls: string[] = []
    for (let nodeId = 1; nodeId <= options.storageNodes; nodeId++) {
      urls.push(await cluster.#startStorage(nodeId))
    }
    await cluster.#startFront(urls)
    await cluster.#until(async () => (await cluster.#liveNodes()) === options.storageNodes)
    return cluster
  }

  get port(): number {
    return this.#frontPort
  }

  get frontPid(): number {
    return (this.#front as RunningProcess).pid
  }

  storagePid(nodeId: number): number {
    return this.#node(nodeId).process.pid
  }

  get nodeIds(): readonly number[] {
    return this.#storage.map(({ nodeId }) => nodeId)
  }

  async createTopic(name: string, settings: Record<string, unknown>): Promise<void> {
    const response = await fetch(this.url(`/v1/topics/${name}`), {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(settings),
    })
    if (response.status !== 201) throw new Error(`topic ${name}: ${await response.text()}`)
    await response.body?.cancel()
  }

  async kill(nodeId: number): Promise<void> {
    await this.#node(nodeId).process.stop('kill')
  }

  /** What etcd holds of every partition; not what a node may believe. */
  async partitions(): Promise<PartitionState[]> {
    const values = await this.#etcdValues('/curlew/partitions/')
    return values.map((value, partition) => ({
      partition,
      ...(JSON.parse(value) as object),
    })) as PartitionState[]
  }

  /** Writes that etcd has done since it started. */
  async metadataWrites(): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${this.#etcdPort}/metrics`)).text()
    let sum = 0
    for (const [, value] of text.matchAll(/^etcd_debugging_mvcc_(?:put|txn)_total (\S+)$/gm)) {
      sum += Number(value)
    }
    return sum
  }

  url(path: string): string {
    return `http://127.0.0.1:${this.#frontPort}${path}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const running of this.#processes.toReversed()) await running.stop('kill')
  }

  async #startEtcd(): Promise<void> {
    this.#etcdPort = await freePort()
    const [client, peer] = [this.#etcdPort, await freePort()].map(
      (port) => `http://127.0.0.1:${port}`,
    )
    this.#spawn('etcd', [
      'etcd',
      `--data-dir=${this.#stage.path('etcd')}`,
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=default=${peer}`,
      '--experimental-watch-progress-notify-interval=5s',
      '--log-level=error',
    ])
    await this.#until(() => answers(`${client}/health`))
  }

  async #startStorage(nodeId: number): Promise<string> {
    const [port, opsPort] = [await freePort(), await freePort()]
    const process = this.#spawn(`storage-${nodeId}`, [
      ...curlew('storage'),
      `--node-id=${nodeId}`,
      `--etcd=http://127.0.0.1:${this.#etcdPort}`,
      `--cluster-secret=${SECRET}`,
      `--port=${port}`,
      `--ops-port=${opsPort}`,
      `--rack=r${nodeId}`,
      `--lease-ttl-ms=${this.leaseTtlMs}ms`,
      `--data=${this.#stage.path(`storage-${nodeId}`)}`,
    ])
    this.#storage.push({ nodeId, process })
    await this.#until(() => answers(`http://127.0.0.1:${opsPort}/readyz`))
    return `http://127.0.0.1:${port}`
  }

  async #startFront(storage: readonly string[]): Promise<void> {
    this.#frontPort = await freePort()
    this.#front = this.#spawn('front', [
      ...curlew('front'),
      `--storage=${storage.join(',')}`,
      `--cluster-secret=${SECRET}`,
      `--port=${this.#frontPort}`,
    ])
    await this.#until(() => answers(this.url('/readyz')))
  }

  #spawn(name: string, command: readonly string[]): RunningProcess {
    const running = this.#stage.spawn(name, command)
    this.#processes.push(running)
    return running
  }

  #node(nodeId: number): StorageNode {
    const node = this.#storage.find((candidate) => candidate.nodeId === nodeId)
    if (node === undefined) throw new Error(`no storage node ${nodeId}`)
    return node
  }

  async #liveNodes(): Promise<number> {
    return (await this.#etcdValues('/curlew/nodes/')).length
  }

  async #etcdValues(prefix: string): Promise<string[]> {
    const base64 = (text: string) => Buffer.from(text).toString('base64')
    const end = prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1)
    const response = await fetch(`http://127.0.0.1:${this.#etcdPort}/v3/kv/range`, {
      method: 'POST',
      body: JSON.stringify({ key: base64(prefix), range_end: base64(end) }),
    })
    const { kvs = [] } = (await response.json()) as { kvs?: { value: string }[] }
    return kvs.map(({ value }) => Buffer.from(value, 'base64').toString())
  }

  async #until(isTrue: () => Promise<boolean>): Promise<void> {
    const deadlineMs = performance.now() + READY_MS
    while (!(await isTrue())) {
      const ended = this.#processes.find(({ exited }) => exited)
      if (ended !== undefined) throw ended.failure('ended before it was ready')
      if (performance.now() > deadlineMs) throw new Error('the cluster is not ready in time')
      await sleep(POLL_MS)
    }
  }
}

function curlew(role: string): string[] {
  return [process.execPath, EXECUTABLE, role, '--log-level=warn']
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url)
    await response.body?.cancel()
    return response.ok
  } catch {
    return false
  }
}

/** A storage node with its sockets: towards etcd, other nodes and operators. */
import type { StorageConfig } from '../config.ts'
import type { Clock } from '../env/clock.ts'
import type { FileSystem } from '../env/file-system.ts'
import type { TlsCredentials } from '../env/http-transport.ts'
import { HttpTransport } from '../env/http-transport.ts'
import type { LiveTls } from '../env/live-tls.ts'
import type { Logger } from '../env/logger.ts'
import type { Metrics } from '../env/metrics.ts'
import type { Random } from '../env/random.ts'
import { InternalServer } from '../http/internal/internal-server.ts'
import { buildOpsApp } from '../http/ops-app.ts'
import type { InternalService } from '../internal/internal-service.ts'
import { EtcdStore } from '../metadata/etcd-store.ts'
import type { EtcdTls } from '../metadata/undici-etcd-http.ts'
import { UndiciEtcdHttp } from '../metadata/undici-etcd-http.ts'
import { Lifecycle } from './lifecycle.ts'
import type { StorageNodeOptions } from './storage-node.ts'
import { StorageNode } from './storage-node.ts'

export interface StorageServerDeps {
  readonly clock: Clock
  readonly random: Random
  readonly fileSystem: FileSystem
  readonly logger: Logger
  readonly metrics: Metrics
  readonly onFatal: (error: unknown) => void
}

/** What a node is told about the machine that it runs on. */
export interface Surroundings {
  readonly hostname: string
  /** For calls between nodes, in both directions; without it they are plain. */
  readonly tls?: LiveTls<TlsCredentials>
  readonly etcdTls?: LiveTls<EtcdTls>
}

export class StorageServer {
  readonly #lifecycle: Lifecycle
  readonly #node: StorageNode
  /** Where other nodes reach it. */
  readonly url: string
  /** For probes and measurements. */
  readonly opsUrl: string

  private constructor(lifecycle: Lifecycle, node: StorageNode, url: string, opsUrl: string) {
    this.#lifecycle = lifecycle
    this.#node = node
    this.url = url
    this.opsUrl = opsUrl
  }

  /** Resolves when the node takes part; probes are answered before. */
  static async start(
    config: StorageConfig,
    deps: StorageServerDeps,
    surroundings: Surroundings,
    signal: AbortSignal,
  ): Promise<StorageServer> {
    const lifecycle = new Lifecycle()
    try {
      let node: StorageNode | undefined
      const opsUrl = await startOps(config, deps, lifecycle, () => notReady(node))
      const store = etcdStore(config, deps, surroundings.etcdTls)
      lifecycle.started(() => store.close())
      const { tls } = surroundings
      const transport = new HttpTransport(tls && { tls })
      lifecycle.started(() => transport.close())
      let url = ''
      const listen = async (service: InternalService) => {
        const { host, port, advertise } = config
        const at = { host, port, ...(tls !== undefined && { tls: tls.current }) }
        const server = await InternalServer.listen({ ...deps, service }, at)
        url = advertise === '' ? server.url : advertise
        const forget = tls?.onChange((now) => server.renew(now))
        const close = () => {
          forget?.()
          return server.close()
        }
        return { url, close }
      }
      const options = nodeOptions(config, surroundings)
      node = await StorageNode.start(options, { ...deps, store, transport, listen }, signal)
      const started = node
      lifecycle.started(() => started.stop())
      return new StorageServer(lifecycle, node, url, opsUrl)
    } catch (error) {
      await lifecycle.stop()
      throw error
    }
  }

  /** Hands over what it leads, and finishes what is under way, until the signal aborts. */
  drain(signal: AbortSignal): Promise<void> {
    return this.#node.drain(signal)
  }

  stop(): Promise<void> {
    return this.#lifecycle.stop()
  }
}

function notReady(node: StorageNode | undefined): readonly string[] {
  return node?.notReady ?? ['the node is starting; its log says what it waits for']
}

async function startOps(
  config: StorageConfig,
  deps: StorageServerDeps,
  lifecycle: Lifecycle,
  reasons: () => readonly string[],
): Promise<string> {
  const ops = buildOpsApp({ ...deps, notReady: reasons })
  lifecycle.started(() => ops.close())
  return await ops.listen({ host: config.host, port: config.opsPort })
}

function etcdStore(
  config: StorageConfig,
  deps: StorageServerDeps,
  tls?: LiveTls<EtcdTls>,
): EtcdStore {
  const { etcd: endpoints, etcdPrefix: prefix, etcdUser: name, etcdPassword: password } = config
  return new EtcdStore(
    { ...deps, http: new UndiciEtcdHttp(tls) },
    { endpoints, prefix, ...(name !== '' && { user: { name, password } }) },
  )
}

function nodeOptions(config: StorageConfig, { hostname, tls }: Surroundings): StorageNodeOptions {
  return {
    nodeId: config.nodeId,
    rack: config.rack === '' ? hostname : config.rack,
    dataDirectory: config.data,
    secret: config.clusterSecret,
    hasMutualTls: tls !== undefined,
    acceptEmptyData: config.acceptEmptyData,
    leaseTtlMs: config.leaseTtlMs,
    replicaLagMaxMs: config.replicaLagMaxMs,
    storage: {
      memoryBytes: config.memoryTailBytes,
      maxUnwrittenBytes: config.unwrittenBytes,
      maxJournalBytes: config.journalBytes,
      minFreeBytes: config.minFreeBytes,
      checkpointIntervalMs: config.checkpointIntervalMs,
      journal: { fileBytes: config.journalFileBytes },
    },
  }
}

/** `curlew storage`: a node of a cluster that keeps records. */
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import { stdout } from 'node:process'
import { ConfigError } from '../config/setting-value.ts'
import type { StorageConfig } from '../config.ts'
import { NodeFileSystem } from '../env/node-file-system.ts'
import { PromMetrics } from '../env/prom-metrics.ts'
import { SystemRandom } from '../env/system-random.ts'
import { UndiciTransport } from '../env/undici-transport.ts'
import { InternalServer } from '../http/internal/internal-server.ts'
import { buildOpsApp } from '../http/ops-app.ts'
import { VERSION } from '../lib/version.ts'
import { EtcdStore } from '../metadata/etcd-store.ts'
import { UndiciEtcdHttp } from '../metadata/undici-etcd-http.ts'
import { StorageNode } from '../nodes/storage-node.ts'
import { ProcessLife } from './process-life.ts'

/** Ends the process. Rejects when the node cannot start. */
export async function runStorage(config: StorageConfig): Promise<never> {
  check(config)
  const life = new ProcessLife(config)
  const { clock, logger } = life
  const random = new SystemRandom()
  const deps = { clock, logger, random }
  const store = new EtcdStore(
    { ...deps, http: new UndiciEtcdHttp() },
    {
      endpoints: config.etcd,
      prefix: config.etcdPrefix,
      ...(config.etcdUser !== '' && {
        user: { name: config.etcdUser, password: config.etcdPassword },
      }),
    },
  )
  const transport = new UndiciTransport()
  const metrics = new PromMetrics()
  let running: StorageNode | undefined
  const ops = buildOpsApp({
    ...deps,
    metrics,
    notReady: () => running?.notReady ?? ['the node is starting; its log says what it waits for'],
  })
  const { host, port, opsPort, advertise } = config
  const opsUrl = await ops.listen({ host, port: opsPort })
  let url = ''
  const starting = StorageNode.start(
    nodeOptions(config),
    {
      ...deps,
      store,
      transport,
      fileSystem: new NodeFileSystem(),
      metrics,
      listen: async (service) => {
        const server = await InternalServer.listen({ ...deps, service }, { host, port })
        url = advertise === '' ? server.url : advertise
        return { url, close: () => server.close() }
      },
      onFatal: life.die('what was acknowledged can no longer be vouched for'),
    },
    life.stopping,
  )
  const node = await life.starting(starting)
  running = node
  if (life.asText) stdout.write(startBlock(url, opsUrl, config))
  const { nodeId, data } = config
  logger.info({ nodeId, url, opsUrl, data: resolve(data), version: VERSION }, 'taking part')
  return await life.until({
    drain: (signal) => node.drain(signal),
    stop: async () => {
      await node.stop()
      await transport.close()
      await store.close()
      await ops.close()
    },
  })
}

function check({ nodeId, etcd, clusterSecret }: StorageConfig): void {
  if (nodeId === 0) throw new ConfigError('--node-id is missing: a number of its own for this node')
  if (etcd.length === 0) throw new ConfigError('--etcd is missing: where the metadata are')
  if (clusterSecret === '') {
    throw new ConfigError('CURLEW_CLUSTER_SECRET is missing: the same for all nodes of the cluster')
  }
}

function nodeOptions(config: StorageConfig) {
  return {
    nodeId: config.nodeId,
    rack: config.rack === '' ? hostname() : config.rack,
    dataDirectory: config.data,
    secret: config.clusterSecret,
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

function startBlock(url: string, opsUrl: string, config: StorageConfig): string {
  return `
  Curlew ${VERSION}, storage node ${config.nodeId}

  Listening   ${url} (for other nodes only)
  Operations  ${opsUrl}/metrics
  Metadata    ${config.etcd.join(', ')}
  Data        ${resolve(config.data)}

`
}

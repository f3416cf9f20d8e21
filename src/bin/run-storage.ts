/** `curlew storage`: a node of a cluster that keeps records. */
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import { stdout } from 'node:process'
import { ConfigError } from '../config/setting-value.ts'
import type { StorageConfig } from '../config.ts'
import { LiveTls } from '../env/live-tls.ts'
import { NodeFileSystem } from '../env/node-file-system.ts'
import { PromMetrics } from '../env/prom-metrics.ts'
import { SystemRandom } from '../env/system-random.ts'
import { VERSION } from '../lib/version.ts'
import type { Surroundings } from '../nodes/storage-server.ts'
import { StorageServer } from '../nodes/storage-server.ts'
import { etcdCredentials, nodeCredentials, requiredCredentials } from './credentials.ts'
import { ProcessLife } from './process-life.ts'
import { keepTlsFresh } from './tls-reload.ts'

/** Ends the process. Rejects when the node cannot start. */
export async function runStorage(config: StorageConfig): Promise<never> {
  const credentials = check(config)
  const life = new ProcessLife(config)
  const { clock, logger } = life
  const { tls, etcdTls } = credentials
  if (tls !== undefined) keepTlsFresh(life, tls, () => requiredCredentials(config))
  if (Object.keys(etcdTls.current).length > 0) {
    keepTlsFresh(life, etcdTls, () => etcdCredentials(config))
  }
  const deps = {
    clock,
    logger,
    random: new SystemRandom(),
    fileSystem: new NodeFileSystem({ directIo: config.directIo }),
    metrics: new PromMetrics(),
    onFatal: life.die('what was acknowledged can no longer be vouched for'),
  }
  const surroundings = { hostname: hostname(), ...credentials }
  const server = await life.starting(StorageServer.start(config, deps, surroundings, life.stopping))
  if (life.asText) stdout.write(startBlock(server, config))
  const { url, opsUrl } = server
  const { nodeId, data } = config
  logger.info({ nodeId, url, opsUrl, data: resolve(data), version: VERSION }, 'taking part')
  return await life.until(server)
}

function check(config: StorageConfig): Pick<Surroundings, 'tls'> & {
  readonly etcdTls: NonNullable<Surroundings['etcdTls']>
} {
  const { nodeId, etcd, host, advertise } = config
  if (nodeId === 0) throw new ConfigError('--node-id is missing: a number of its own for this node')
  if (etcd.length === 0) throw new ConfigError('--etcd is missing: where the metadata are')
  const tls = nodeCredentials(config)
  const scheme = tls === undefined ? 'http:' : 'https:'
  if (advertise !== '' && !advertise.startsWith(scheme)) {
    throw new ConfigError(`--advertise ${advertise} is not ${scheme} as calls between nodes are`)
  }
  if (advertise === '' && isWildcard(host)) {
    throw new ConfigError(
      `--advertise is missing: --host ${host} does not say where others reach it`,
    )
  }
  const etcdTls = new LiveTls(etcdCredentials(config))
  return { etcdTls, ...(tls !== undefined && { tls: new LiveTls(tls) }) }
}

function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::'
}

function startBlock({ url, opsUrl }: StorageServer, config: StorageConfig): string {
  return `
  Curlew ${VERSION}, storage node ${config.nodeId}

  Listening   ${url} (for other nodes only)
  Operations  ${opsUrl}/metrics
  Metadata    ${config.etcd.join(', ')}
  Data        ${resolve(config.data)}

`
}

/** `curlew front`: a node of a cluster that answers clients. */
import { stdout } from 'node:process'
import { ConfigError } from '../config/setting-value.ts'
import type { FrontConfig } from '../config.ts'
import type { TlsCredentials } from '../env/http-transport.ts'
import { HttpTransport } from '../env/http-transport.ts'
import { LiveTls } from '../env/live-tls.ts'
import { PromMetrics } from '../env/prom-metrics.ts'
import { SystemRandom } from '../env/system-random.ts'
import { VERSION } from '../lib/version.ts'
import { FrontNode } from '../nodes/front-node.ts'
import { nodeCredentials, requiredCredentials } from './credentials.ts'
import { ProcessLife, reachable } from './process-life.ts'
import { keepTlsFresh } from './tls-reload.ts'

/** Ends the process. Rejects when the node cannot start. */
export async function runFront(config: FrontConfig): Promise<never> {
  const tls = check(config)
  const life = new ProcessLife(config)
  const { clock, logger } = life
  if (tls !== undefined) keepTlsFresh(life, tls, () => requiredCredentials(config))
  const transport = new HttpTransport(tls && { tls })
  const deps = { clock, logger, transport, random: new SystemRandom(), metrics: new PromMetrics() }
  const node = await life.starting(FrontNode.start(config, deps, life.stopping))
  const url = reachable(node.url)
  if (life.asText) stdout.write(startBlock(url, config))
  logger.info({ url, storage: config.storage, version: VERSION }, 'listening')
  return await life.until({
    drain: (signal) => node.drain(signal),
    stop: async () => {
      await node.stop()
      await transport.close()
    },
  })
}

function check(config: FrontConfig): LiveTls<TlsCredentials> | undefined {
  if (config.storage.length === 0) {
    throw new ConfigError('--storage is missing: at least one storage node to begin with')
  }
  const tls = nodeCredentials(config)
  const scheme = tls === undefined ? 'http:' : 'https:'
  const other = config.storage.find((url) => !url.startsWith(scheme))
  if (other === undefined) return tls && new LiveTls(tls)
  throw new ConfigError(`--storage ${other} is not ${scheme} as calls between nodes are`)
}

function startBlock(url: string, config: FrontConfig): string {
  return `
  Curlew ${VERSION}, front

  Listening   ${url}
  Reference   ${url}/docs
  Storage     ${config.storage.join(', ')}

`
}

/** `curlew standalone`: one process that does everything. */
import { resolve } from 'node:path'
import { stdout } from 'node:process'
import type { Config } from '../config.ts'
import { NodeFileSystem } from '../env/node-file-system.ts'
import { PromMetrics } from '../env/prom-metrics.ts'
import { SystemRandom } from '../env/system-random.ts'
import { VERSION } from '../lib/version.ts'
import { StandaloneNode } from '../nodes/standalone-node.ts'
import { ProcessLife, reachable } from './process-life.ts'

/** Ends the process. Rejects when the node cannot start. */
export async function runStandalone(config: Config): Promise<never> {
  const life = new ProcessLife(config)
  const { clock, logger } = life
  const node = await StandaloneNode.start(config, {
    clock,
    logger,
    random: new SystemRandom(),
    fileSystem: new NodeFileSystem({ directIo: config.directIo }),
    metrics: new PromMetrics(),
    onFatal: life.die('what was acknowledged can no longer be vouched for'),
  })
  const url = reachable(node.url)
  if (life.asText) stdout.write(startBlock(url, config))
  logger.info({ url, data: resolve(config.data), version: VERSION }, 'listening')
  return await life.until(node)
}

function startBlock(url: string, config: Config): string {
  return `
  Curlew ${VERSION}

  Listening   ${url}
  Reference   ${url}/docs
  Data        ${resolve(config.data)}

  Try it:
    curl -d '{"hello":"world"}' ${url}/v1/topics/greetings/publish
    curl ${url}/v1/topics/greetings/records

`
}

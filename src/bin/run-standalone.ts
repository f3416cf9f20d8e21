/** Runs one node until it is told to stop, and stops it in good order. */
import { resolve } from 'node:path'
import process, { exit, stdout } from 'node:process'
import type { Config } from '../config.ts'
import type { Logger } from '../env/logger.ts'
import { NodeFileSystem } from '../env/node-file-system.ts'
import { createPinoLogger } from '../env/pino-logger.ts'
import { PromMetrics } from '../env/prom-metrics.ts'
import { SystemClock } from '../env/system-clock.ts'
import { SystemRandom } from '../env/system-random.ts'
import { createTextLogger } from '../env/text-logger.ts'
import { VERSION } from '../lib/version.ts'
import { StandaloneNode } from '../nodes/standalone-node.ts'

const clock = new SystemClock()
const FAILURE = 1

/** Ends the process. Rejects when the node cannot start. */
export async function runStandalone(config: Config): Promise<never> {
  const asText = config.logFormat === 'text' || (config.logFormat === 'auto' && stdout.isTTY)
  const logger = asText
    ? createTextLogger({ clock, level: config.logLevel, write: (line) => stdout.write(line) })
    : createPinoLogger({ level: config.logLevel })
  const die = (message: string) => (err: unknown) => {
    logger.error({ err }, message)
    exit(FAILURE)
  }
  // After a fault that nobody foresaw the state cannot be trusted: the next start recovers.
  process.on('uncaughtException', die('an unexpected error ends the process'))
  process.on('unhandledRejection', die('an unexpected rejection ends the process'))
  // A terminal or log collector that went away must not take the log with it.
  stdout.on('error', () => undefined)
  const stopping = firstSignal(logger)
  const node = await StandaloneNode.start(config, {
    clock,
    logger,
    random: new SystemRandom(),
    fileSystem: new NodeFileSystem(),
    metrics: new PromMetrics(),
    onFatal: die('what was acknowledged can no longer be vouched for'),
  })
  const address = reachable(node.url)
  if (asText) stdout.write(startBlock(address, config))
  logger.info({ url: address, data: resolve(config.data), version: VERSION }, 'listening')

  const signal = await stopping
  logger.info({ signal, drainTimeoutMs: config.drainTimeoutMs }, 'shutting down')
  await stop(node, config, logger)
  logger.info({}, 'stopped')
  exit(0)
}

async function stop(node: StandaloneNode, config: Config, logger: Logger): Promise<void> {
  const deadline = new AbortController()
  const timer = setTimeout(() => {
    logger.warn({}, 'not all work could be finished in time')
    deadline.abort()
  }, config.drainTimeoutMs)
  await node.drain(deadline.signal)
  clearTimeout(timer)
  await node.stop()
}

/** Resolves at the first request to stop; the second one does not wait. */
function firstSignal(logger: Logger): Promise<NodeJS.Signals> {
  const { promise, resolve: stopNow } = Promise.withResolvers<NodeJS.Signals>()
  let signals = 0
  const onSignal = (signal: NodeJS.Signals) => {
    signals += 1
    if (signals > 1) {
      logger.warn({ signal }, 'stopping at once')
      exit(FAILURE)
    }
    stopNow(signal)
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  return promise
}

/** An address that can be opened, where the node listens on all of them. */
function reachable(url: string): string {
  return url.replace('//0.0.0.0:', '//localhost:').replace('//[::]:', '//localhost:')
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

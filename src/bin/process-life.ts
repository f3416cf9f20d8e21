/** What every role does with its process: logs, signals, faults nobody foresaw, and a stop in good order. */
import process, { exit, stdout } from 'node:process'
import type { Configs, Role } from '../config.ts'
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import { createPinoLogger } from '../env/pino-logger.ts'
import { SystemClock } from '../env/system-clock.ts'
import { createTextLogger } from '../env/text-logger.ts'
import { optimizeSooner } from './hot-code.ts'

type Settings = Pick<Configs[Role], 'logFormat' | 'logLevel' | 'drainTimeoutMs'>

export interface Stoppable {
  /** Takes no new work and finishes what is under way, until the signal aborts. */
  drain(signal: AbortSignal): Promise<void>
  stop(): Promise<void>
}

const FAILURE = 1
const ALIVE_MS = 3_600_000

export class ProcessLife {
  readonly clock: Clock = new SystemClock()
  readonly logger: Logger
  /** Whether people read the output. */
  readonly asText: boolean
  /** Aborts at the first request to stop; the second one does not wait. */
  readonly stopping: AbortSignal
  readonly #settings: Settings
  readonly #whenStopping: Promise<NodeJS.Signals>

  constructor(settings: Settings) {
    this.#settings = settings
    const { logFormat, logLevel: level } = settings
    this.asText = logFormat === 'text' || (logFormat === 'auto' && stdout.isTTY)
    this.logger = this.asText
      ? createTextLogger({ clock: this.clock, level, write: (line) => stdout.write(line) })
      : createPinoLogger({ level })
    // After a fault that nobody foresaw the state cannot be trusted: the next start recovers.
    process.on('uncaughtException', this.die('an unexpected error ends the process'))
    process.on('unhandledRejection', this.die('an unexpected rejection ends the process'))
    // A terminal or log collector that went away must not take the log with it.
    stdout.on('error', () => undefined)
    const { promise, resolve } = Promise.withResolvers<NodeJS.Signals>()
    const stopping = new AbortController()
    this.stopping = stopping.signal
    this.#whenStopping = promise
    // Waiting for a store or a node that is away keeps nothing else open.
    setInterval(() => undefined, ALIVE_MS)
    this.#onSignals((signal) => {
      resolve(signal)
      stopping.abort(new Error(`the process got ${signal}`))
    })
  }

  die(message: string): (err: unknown) => void {
    return (err) => {
      this.logger.error({ err }, message)
      exit(FAILURE)
    }
  }

  /** What starts, unless the process is told to stop before: then it ends in good order. */
  async starting<T>(start: Promise<T>): Promise<T> {
    try {
      return await start
    } catch (error) {
      if (!this.stopping.aborted) throw error
      this.logger.info({}, 'stopped before it had started')
      exit(0)
    }
  }

  /** The node serves: waits for the request to stop, and ends the process when the node has. */
  async until(node: Stoppable): Promise<never> {
    const { drainTimeoutMs } = this.#settings
    optimizeSooner()
    const signal = await this.#whenStopping
    this.logger.info({ signal, drainTimeoutMs }, 'shutting down')
    const deadline = new AbortController()
    const timer = this.clock.timer(drainTimeoutMs, () => {
      this.logger.warn({}, 'not all work could be finished in time')
      deadline.abort()
    })
    await node.drain(deadline.signal)
    timer.cancel()
    await node.stop()
    this.logger.info({}, 'stopped')
    exit(0)
  }

  #onSignals(stop: (signal: NodeJS.Signals) => void): void {
    let signals = 0
    const onSignal = (signal: NodeJS.Signals) => {
      signals += 1
      if (signals > 1) {
        this.logger.warn({ signal }, 'stopping at once')
        exit(FAILURE)
      }
      stop(signal)
    }
    process.on('SIGTERM', onSignal)
    process.on('SIGINT', onSignal)
  }
}

/** An address that can be opened, where the node listens on all of them. */
export function reachable(url: string): string {
  return url.replace('//0.0.0.0:', '//localhost:').replace('//[::]:', '//localhost:')
}

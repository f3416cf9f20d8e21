/** What the HTTP tests build on: an application with quiet, repeatable surroundings. */
import type { Clock, Timer } from '../../src/env/clock.ts'
import type { Logger } from '../../src/env/logger.ts'
import { nullLogger } from '../../src/env/logger.ts'
import { nullMetrics } from '../../src/env/metrics.ts'
import type { Random } from '../../src/env/random.ts'
import type { App, AppDeps, AppOptions } from '../../src/http/app.ts'
import { buildApp } from '../../src/http/app.ts'

/** Time that moves only when told. */
export class ManualClock implements Clock {
  #nowMs = Date.UTC(2026, 10, 22)
  #timers: { readonly atMs: number; readonly run: () => void }[] = []

  nowMs(): number {
    return this.#nowMs
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  timer(delayMs: number, run: () => void): Timer {
    const entry = { atMs: this.#nowMs + delayMs, run }
    this.#timers.push(entry)
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== entry)
      },
    }
  }

  immediate(run: () => void): void {
    setImmediate(run)
  }

  sleep(delayMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = this.timer(delayMs, resolve)
      signal.addEventListener('abort', () => {
        timer.cancel()
        reject(signal.reason)
      })
    })
  }

  /** Moves time and runs, in order, the timers that come due on the way. */
  advance(ms: number): void {
    const untilMs = this.#nowMs + ms
    for (;;) {
      const next = this.#timers
        .filter((timer) => timer.atMs <= untilMs)
        .sort((a, b) => a.atMs - b.atMs)[0]
      if (next === undefined) break
      this.#timers = this.#timers.filter((timer) => timer !== next)
      this.#nowMs = next.atMs
      next.run()
    }
    this.#nowMs = untilMs
  }
}

export function fixedRandom(): Random {
  let state = 1
  const uint32 = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state
  }
  return {
    uint32,
    float: () => uint32() / 2 ** 32,
    bytes: (length) => Uint8Array.from({ length }, () => uint32() >>> 24),
  }
}

export interface LogLine {
  readonly level: string
  readonly fields: Record<string, unknown>
  readonly message: string
}

export function recordingLogger(lines: LogLine[]): Logger {
  const at = (level: string) => (fields: object, message: string) => {
    lines.push({ level, fields: { ...fields }, message })
  }
  const logger: Logger = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => logger,
  }
  return logger
}

export function testApp(deps: Partial<AppDeps> = {}, options: Partial<AppOptions> = {}): App {
  return buildApp(
    {
      clock: new ManualClock(),
      random: fixedRandom(),
      logger: nullLogger,
      metrics: nullMetrics,
      draining: () => false,
      ...deps,
    },
    {
      corsOrigins: [],
      allowedHosts: [],
      loopback: true,
      maxConnections: 100,
      maxRequestBytes: 1024 * 1024,
      maxBodyMemoryBytes: 8 * 1024 * 1024,
      ...options,
    },
  )
}

/** Listens on a free port of loopback; resolves to the port. */
export async function listen(app: App): Promise<number> {
  await app.listen({ host: '127.0.0.1', port: 0 })
  const address = app.server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

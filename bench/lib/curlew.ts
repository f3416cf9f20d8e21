/** A standalone Curlew under measurement: started from source, asked for topics, stopped or killed. */
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePort } from './free-port.ts'
import type { RunningProcess, Stage } from './stage.ts'

export interface CurlewOptions {
  readonly core?: number
  /** Where its data goes; `memory` is what "the disk off" means here: tmpfs, nothing else changed. */
  readonly where?: 'disk' | 'memory'
  /** Extra arguments of node itself, such as a profiler. */
  readonly nodeArguments?: readonly string[]
}

const EXECUTABLE = fileURLToPath(new URL('../../src/bin/curlew.ts', import.meta.url))
const READY_MS = 120_000
const POLL_MS = 2

export class Curlew implements AsyncDisposable {
  readonly directory: string
  readonly #stage: Stage
  readonly #options: CurlewOptions
  #process: RunningProcess | undefined
  #port = 0

  private constructor(stage: Stage, options: CurlewOptions) {
    this.#stage = stage
    this.#options = options
    this.directory = stage.path('data', options.where)
  }

  static async start(stage: Stage, options: CurlewOptions = {}): Promise<Curlew> {
    const curlew = new Curlew(stage, options)
    await curlew.start()
    return curlew
  }

  get port(): number {
    return this.#port
  }

  get pid(): number {
    return this.#running().pid
  }

  /** Starts the process on the same data; resolves with the seconds until it said that it is ready. */
  async start(): Promise<number> {
    this.#port = await freePort()
    const command = [
      process.execPath,
      ...(this.#options.nodeArguments ?? []),
      EXECUTABLE,
      'standalone',
      '--port',
      String(this.#port),
      '--data',
      this.directory,
    ]
    const startedMs = performance.now()
    const running = this.#stage.spawn('curlew', command, { core: this.#options.core })
    this.#process = running
    while (!(await this.#isReady())) {
      if (running.exited) throw running.failure('ended before it was ready')
      if (performance.now() - startedMs > READY_MS) throw running.failure('never ready')
      await sleep(POLL_MS)
    }
    return (performance.now() - startedMs) / 1000
  }

  stop(how: 'graceful' | 'kill'): Promise<void> {
    return this.#running().stop(how)
  }

  /** One partition unless said otherwise, so that a peer's one stream meets one log. */
  async createTopic(name: string, settings: Record<string, unknown> = {}): Promise<void> {
    const response = await fetch(this.url(`/v1/topics/${name}`), {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ partitions: 1, ...settings }),
    })
    if (response.status !== 201) {
      throw this.#running().failure(`topic ${name}: ${response.status} ${await response.text()}`)
    }
    await response.body?.cancel()
  }

  url(path: string): string {
    return `http://127.0.0.1:${this.#port}${path}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process?.stop('kill')
  }

  #running(): RunningProcess {
    if (this.#process === undefined) throw new Error('Curlew was not started')
    return this.#process
  }

  async #isReady(): Promise<boolean> {
    try {
      const response = await fetch(this.url('/readyz'))
      await response.body?.cancel()
      return response.status === 200
    } catch {
      return false
    }
  }
}

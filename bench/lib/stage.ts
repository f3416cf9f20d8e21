/** Owns what a run leaves on the machine: child processes and temp directories, gone when it ends. */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statfsSync } from 'node:fs'
import { join } from 'node:path'

export interface SpawnOptions {
  /** The only core that the process may use; none = all of them. */
  readonly core?: number | undefined
  /** Opens a channel for messages. */
  readonly ipc?: boolean
  /** Gives back what the process prints instead of writing it to its log file. */
  readonly capture?: boolean
}

const TMPFS_MAGIC = 0x01021994
const STOP_MS = 15_000

export class Stage {
  readonly #disk: string
  readonly #memory: string
  readonly #children = new Map<number, ChildProcess>()
  #counter = 0
  readonly #ended = new AbortController()

  /** `parent`: where the temp directory goes; must be on the disk that is to be measured. */
  constructor(parent: string) {
    if (statfsSync(parent).type === TMPFS_MAGIC) {
      throw new Error(`${parent} is memory, not a disk: give a directory on a disk with --data`)
    }
    this.#disk = mkdtempSync(join(parent, 'curlew-bench-'))
    this.#memory = mkdtempSync('/dev/shm/curlew-bench-')
  }

  /** A path that nothing uses yet. `memory`: on tmpfs, where a sync costs nothing. */
  path(name: string, where: 'disk' | 'memory' = 'disk'): string {
    return join(where === 'disk' ? this.#disk : this.#memory, `${++this.#counter}-${name}`)
  }

  spawn(name: string, command: readonly string[], options: SpawnOptions = {}): RunningProcess {
    this.#ended.signal.throwIfAborted()
    const pinned =
      options.core === undefined ? command : ['taskset', '-c', String(options.core), ...command]
    const logPath = this.path(`${name}.log`)
    const log = openSync(logPath, 'a')
    const child = spawn(pinned[0] as string, pinned.slice(1), {
      stdio: [
        'ignore',
        options.capture === true ? 'pipe' : log,
        log,
        ...(options.ipc === true ? (['ipc'] as const) : []),
      ],
    })
    closeSync(log)
    const running = new RunningProcess(name, child, logPath)
    if (child.pid !== undefined) {
      const pid = child.pid
      this.#children.set(pid, child)
      child.once('exit', () => this.#children.delete(pid))
    }
    return running
  }

  /** Ends every child by its pid and removes the directories. */
  async close(): Promise<void> {
    this.#ended.abort()
    const ended = [...this.#children.values()].map((child) => once(child, 'exit'))
    for (const child of this.#children.values()) child.kill('SIGKILL')
    await Promise.all(ended)
    rmSync(this.#disk, { recursive: true, force: true })
    rmSync(this.#memory, { recursive: true, force: true })
  }
}

export class RunningProcess implements AsyncDisposable {
  readonly name: string
  readonly child: ChildProcess
  readonly #logPath: string
  #failure: Error | undefined

  constructor(name: string, child: ChildProcess, logPath: string) {
    this.name = name
    this.child = child
    this.#logPath = logPath
    child.once('error', (cause) => {
      this.#failure = new Error(`cannot start ${name}: ${cause.message}`, { cause })
    })
  }

  get pid(): number {
    if (this.child.pid === undefined) throw this.failure('did not start')
    return this.child.pid
  }

  get exited(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null
  }

  /** An error that says what happened, with the end of what the process printed. */
  failure(what: string): Error {
    if (this.#failure !== undefined) return this.#failure
    const log = readFileSync(this.#logPath, 'utf8').slice(-2000)
    return new Error(`${this.name}: ${what}\n${log}`)
  }

  /** `graceful` gives it time to shut down. Resolves when the process is gone. */
  async stop(how: 'graceful' | 'kill'): Promise<void> {
    if (this.exited || this.child.pid === undefined) return
    const gone = once(this.child, 'exit')
    this.child.kill(how === 'graceful' ? 'SIGTERM' : 'SIGKILL')
    const impatience = setTimeout(() => this.child.kill('SIGKILL'), STOP_MS)
    await gone
    clearTimeout(impatience)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('kill')
  }
}

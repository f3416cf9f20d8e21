/** A real Curlew process with its own port and data directory: started, asked, stopped, killed. */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import process from 'node:process'
import { eventually, within } from './eventually.ts'
import { freePort } from './free-port.ts'
import { call } from './http-client.ts'

const PROJECT = join(import.meta.dirname, '..', '..')
const LOOPBACK = '127.0.0.1'
export const ENTRY = join(PROJECT, 'src', 'bin', 'curlew.ts')

export interface ProcessExit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface CurlewOptions {
  /** Fronts have none. */
  readonly dataDirectory?: string
  readonly role?: 'standalone' | 'storage' | 'front'
  /** A free one is chosen when absent. */
  readonly port?: number
  /** Where probes are answered, if not on that port. */
  readonly probePort?: number
  /** Where it listens, if not on the loopback of this machine. */
  readonly host?: string
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** The executable and its leading arguments; this work tree's own by default. */
  readonly command?: readonly string[]
}

export class CurlewProcess {
  readonly port: number
  readonly dataDirectory: string
  readonly exited: Promise<ProcessExit>
  readonly #child: ChildProcess
  readonly #host: string
  readonly #probePort: number
  #output = ''

  private constructor(child: ChildProcess, port: number, options: CurlewOptions) {
    this.#child = child
    this.#host = options.host ?? LOOPBACK
    this.#probePort = options.probePort ?? port
    this.port = port
    this.dataDirectory = options.dataDirectory ?? ''
    const { promise, resolve } = Promise.withResolvers<ProcessExit>()
    this.exited = promise
    child.once('exit', (code, signal) => resolve({ code, signal }))
    child.once('error', () => resolve({ code: null, signal: null }))
    const keep = (text: string): void => {
      this.#output = (this.#output + text).slice(-1_000_000)
    }
    child.stdout?.setEncoding('utf8').on('data', keep)
    child.stderr?.setEncoding('utf8').on('data', keep)
  }

  /** Starts a process and returns at once; `whenReady` says when it serves. */
  static async spawn(options: CurlewOptions): Promise<CurlewProcess> {
    const port = options.port ?? (await freePort())
    const [executable = '', ...leading] = options.command ?? [process.execPath, ENTRY]
    const { role = 'standalone', dataDirectory, host, env = {} } = options
    const args = [
      ...leading,
      role,
      `--port=${port}`,
      ...(dataDirectory === undefined ? [] : [`--data=${dataDirectory}`]),
      ...(host === undefined ? [] : [`--host=${host}`]),
      ...(options.args ?? []),
    ]
    const child = spawn(executable, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    })
    return new CurlewProcess(child, port, options)
  }

  static async start(options: CurlewOptions): Promise<CurlewProcess> {
    const server = await CurlewProcess.spawn(options)
    await server.whenReady()
    return server
  }

  get baseUrl(): string {
    return `http://${this.#host}:${this.port}`
  }

  /** Of `/readyz`, `/healthz` and `/metrics`. */
  get probeUrl(): string {
    return `http://${this.#host}:${this.#probePort}`
  }

  get pid(): number {
    const { pid } = this.#child
    if (pid === undefined) throw new Error(`the process did not start: ${this.#output}`)
    return pid
  }

  /** What the process has printed so far. */
  get output(): string {
    return this.#output
  }

  /** Waits for `/readyz`; or, for a node that is not whole but answers, for `/healthz`. */
  async whenReady(probe = '/readyz', deadlineMs = 60_000): Promise<void> {
    let exit: ProcessExit | undefined
    void this.exited.then((value) => {
      exit = value
    })
    const outcome = await eventually(
      'ready to serve',
      async () => {
        if (exit !== undefined) return 'exited'
        const { status } = await call(this.probeUrl, 'GET', probe)
        return status === 200 ? 'ready' : undefined
      },
      deadlineMs,
    ).catch((error: unknown) => {
      throw new Error(`the process printed: ${this.#output}`, { cause: error })
    })
    if (outcome === 'exited') {
      throw new Error(`exited with ${JSON.stringify(exit)} and printed: ${this.#output}`)
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** As `kill -9` does it: nothing is told to the process. */
  async killHard(): Promise<void> {
    this.signal('SIGKILL')
    await this.exited
  }

  async stop(deadlineMs = 30_000): Promise<ProcessExit> {
    this.signal('SIGTERM')
    try {
      return await within('exited after SIGTERM', deadlineMs, this.exited)
    } catch (error) {
      await this.killHard()
      throw new Error(`the process printed: ${this.#output}`, { cause: error })
    }
  }

  async residentBytes(): Promise<number> {
    const status = await readFile(`/proc/${this.pid}/status`, 'utf8')
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
  }
}

export interface CommandResult extends ProcessExit {
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command to its end and keeps what it printed. */
export async function runCommand(
  command: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; deadlineMs?: number } = {},
): Promise<CommandResult> {
  const [executable = '', ...args] = command
  const child = spawn(executable, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: options.cwd ?? PROJECT,
    env: options.env ?? process.env,
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const { promise, resolve, reject } = Promise.withResolvers<ProcessExit>()
  child.once('error', reject)
  child.once('close', (code, signal) => resolve({ code, signal }))
  try {
    const exit = await within(command.join(' '), options.deadlineMs ?? 60_000, promise)
    return { ...exit, stdout, stderr }
  } finally {
    child.kill('SIGKILL')
  }
}

/** Runs `curlew` of this work tree with these arguments. */
export function runCurlew(args: readonly string[], deadlineMs?: number): Promise<CommandResult> {
  return runCommand(
    [process.execPath, ENTRY, ...args],
    deadlineMs === undefined ? {} : { deadlineMs },
  )
}

/** A real member of etcd with its own ports and folder: started, asked, paused, killed, stopped. */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import process from 'node:process'
import { eventually, within } from './eventually.ts'
import { freePort } from './free-port.ts'
import { callJson } from './http-client.ts'
import type { TempDirectory } from './temp-directory.ts'
import { makeTempDirectory } from './temp-directory.ts'

/** Another version can be tried by naming its executable. */
export const ETCD = process.env['CURLEW_TEST_ETCD'] ?? '/usr/bin/etcd'

export const hasEtcd = (): boolean => existsSync(ETCD)

export interface EtcdOptions {
  /** Further arguments, as for TLS. */
  readonly args?: readonly string[]
  readonly scheme?: 'http' | 'https'
  /** Where clients reach it; the loopback of this machine by default. */
  readonly host?: string
}

interface MemberPorts {
  readonly name: string
  readonly client: number
  readonly peer: number
  readonly health: number
}

const peerUrl = ({ peer }: MemberPorts): string => `http://127.0.0.1:${peer}`

const PROGRESS = '--experimental-watch-progress-notify-interval=200ms'

export class EtcdProcess {
  readonly url: string
  readonly #directory: TempDirectory
  readonly #args: readonly string[]
  readonly #health: string
  #child: ChildProcess | undefined
  #exited: Promise<void> = Promise.resolve()
  #output = ''

  private constructor(directory: TempDirectory, ports: MemberPorts, options: EtcdOptions) {
    const { scheme = 'http', host = '127.0.0.1', args = [] } = options
    this.url = `${scheme}://${host}:${ports.client}`
    this.#health = `http://127.0.0.1:${ports.health}`
    this.#directory = directory
    this.#args = [
      `--name=${ports.name}`,
      `--data-dir=${join(directory.path, 'data')}`,
      `--listen-client-urls=${this.url}`,
      `--advertise-client-urls=${this.url}`,
      `--listen-peer-urls=${peerUrl(ports)}`,
      `--initial-advertise-peer-urls=${peerUrl(ports)}`,
      `--listen-metrics-urls=${this.#health}`,
      '--log-level=error',
      PROGRESS,
      ...args,
    ]
  }

  /** A cluster of one. */
  static async start(options: EtcdOptions = {}): Promise<EtcdProcess> {
    const [etcd] = await EtcdProcess.startCluster(1, options)
    return etcd as EtcdProcess
  }

  static async startCluster(members: number, options: EtcdOptions = {}): Promise<EtcdProcess[]> {
    const ports: MemberPorts[] = []
    for (let n = 1; n <= members; n++) {
      const [client, peer, health] = [await freePort(), await freePort(), await freePort()]
      ports.push({ name: `m${n}`, client, peer, health })
    }
    const all = ports.map((member) => `${member.name}=${peerUrl(member)}`).join(',')
    const args = [`--initial-cluster=${all}`, ...(options.args ?? [])]
    return await Promise.all(
      ports.map(async (member) => {
        const directory = await makeTempDirectory('etcd')
        const etcd = new EtcdProcess(directory, member, { ...options, args })
        await etcd.restart()
        return etcd
      }),
    )
  }

  /** Begins again on the same folder and ports; resolves when it serves. */
  async restart(): Promise<void> {
    const child = spawn(ETCD, this.#args, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#exited = promise
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
    const keep = (text: string): void => {
      this.#output = (this.#output + text).slice(-100_000)
    }
    child.stdout.setEncoding('utf8').on('data', keep)
    child.stderr.setEncoding('utf8').on('data', keep)
    await eventually('etcd serves', async () => {
      if (child.exitCode !== null) throw new Error(`etcd ended and printed: ${this.#output}`)
      const answer = await callJson(this.#health, 'GET', '/health', undefined)
      return answer.json<{ health: string }>().health === 'true' ? true : undefined
    })
  }

  /** Asks the gateway without the client that is tested. */
  async ask<T>(path: string, request: object, token?: string): Promise<T> {
    const headers = token === undefined ? {} : { authorization: token }
    const answer = await callJson(this.url, 'POST', path, request, headers)
    if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${answer.text}`)
    return answer.json<T>()
  }

  /** Forgets all history before the newest revision, which is one that nobody looks at. */
  async compact(): Promise<void> {
    const key = Buffer.from('/scratch').toString('base64')
    const { header } = await this.ask<{ header: { revision: string } }>('/v3/kv/put', { key })
    await this.ask('/v3/kv/compaction', { revision: header.revision, physical: true })
  }

  /** Keeps what it holds now; it stands still for that. */
  async backUp(): Promise<void> {
    await this.#replace('data', 'backup')
  }

  /** Goes back to what was kept. */
  async restore(): Promise<void> {
    await this.#replace('backup', 'data')
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal)
  }

  async killHard(): Promise<void> {
    this.signal('SIGKILL')
    await this.#exited
  }

  async close(): Promise<void> {
    this.signal('SIGKILL')
    await within('etcd ended', 10_000, this.#exited)
    await this.#directory.remove()
  }

  async #replace(from: string, to: string): Promise<void> {
    const { path } = this.#directory
    await this.killHard()
    await rm(join(path, to), { recursive: true, force: true })
    await cp(join(path, from), join(path, to), { recursive: true })
    await this.restart()
  }
}

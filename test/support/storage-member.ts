/** A storage node of a test cluster as a place: its number, ports and folder outlive its processes. */
import type { CurlewOptions, ProcessExit } from './curlew-process.ts'
import { CurlewProcess } from './curlew-process.ts'

export interface MemberPlace {
  readonly nodeId: number
  readonly host: string
  readonly port: number
  readonly opsPort: number
  readonly dataDirectory: string
  readonly secret: string
  /** Where etcd is, seen from here. */
  readonly etcd: string
  /** Where others reach it. */
  readonly advertise: string
  /** The executable and its leading arguments, to start it elsewhere. */
  readonly command?: readonly string[]
  readonly args: readonly string[]
}

/** Small files, so that a start does not fill megabytes with zeros. */
const SMALL = ['--journal-file-bytes=18MiB', '--journal-bytes=72MiB', '--min-free-bytes=0']
/** Failures are found as soon as etcd allows. */
const QUICK = ['--lease-ttl-ms=2s', '--replica-lag-max-ms=1s', '--checkpoint-interval-ms=1s']

export class StorageMember {
  readonly place: MemberPlace
  #process: CurlewProcess | undefined
  /** What its earlier processes printed. */
  #printed = ''

  constructor(place: MemberPlace) {
    this.place = place
  }

  get nodeId(): number {
    return this.place.nodeId
  }

  get process(): CurlewProcess {
    if (this.#process === undefined) throw new Error(`node ${this.nodeId} was never started`)
    return this.#process
  }

  /** What all its processes have printed. */
  get output(): string {
    return this.#printed + (this.#process?.output ?? '')
  }

  /** Starts a process and returns at once. */
  async spawn(args: readonly string[] = []): Promise<CurlewProcess> {
    this.#printed = this.output.slice(-1_000_000)
    this.#process = await CurlewProcess.spawn(memberOptions(this.place, args))
    return this.#process
  }

  /** Resolves when the node takes part. */
  async start(args: readonly string[] = []): Promise<void> {
    await (await this.spawn(args)).whenReady()
  }

  killHard(): Promise<void> {
    return this.process.killHard()
  }

  stop(): Promise<ProcessExit> {
    return this.process.stop()
  }

  /** Stands still, with its connections open. */
  pause(): void {
    this.process.signal('SIGSTOP')
  }

  resume(): void {
    this.process.signal('SIGCONT')
  }
}

/** How a process is started there; also one that has no right to be there. */
export function memberOptions(place: MemberPlace, args: readonly string[] = []): CurlewOptions {
  const { nodeId, host, port, opsPort, dataDirectory, secret, etcd, advertise, command } = place
  return {
    role: 'storage',
    host,
    port,
    probePort: opsPort,
    dataDirectory,
    ...(command !== undefined && { command }),
    env: { CURLEW_CLUSTER_SECRET: secret },
    args: [
      `--node-id=${nodeId}`,
      `--etcd=${etcd}`,
      `--advertise=${advertise}`,
      `--ops-port=${opsPort}`,
      `--rack=rack-${nodeId}`,
      ...SMALL,
      ...QUICK,
      ...place.args,
      ...args,
    ],
  }
}

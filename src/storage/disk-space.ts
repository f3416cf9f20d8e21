/**
 * Whether the disk takes more. A full one is noticed by a failed write, or before that by what is
 * left. A file of ballast is given up then, so that checkpoints and retention still have room;
 * it is laid in again when space has returned, and only then appends go on.
 */
import type { Clock, Timer } from '../env/clock.ts'
import type { FileSystem } from '../env/file-system.ts'
import type { Logger } from '../env/logger.ts'
import { ServiceError } from '../lib/service-error.ts'

const PROBE_MS = 500
const CHUNK_BYTES = 1024 * 1024
/** More than the few pages of metadata that a start writes. */
const START_BYTES = 1024 * 1024

export interface DiskSpaceOptions {
  readonly directory: string
  readonly ballastBytes: number
  /** With less than this left, the disk counts as full. */
  readonly minFreeBytes: number
}

/** Whether the error, or what caused it, says that the disk or a quota is full. */
export function isNoSpace(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOSPC' || code === 'EDQUOT' || isNoSpace(error.cause)
}

/**
 * Gives the ballast up where the disk is full, for what a node has to write before its storage is
 * opened. It is laid in again, when there is space, by the DiskSpace of that storage.
 */
export async function makeRoomToStart(
  fileSystem: FileSystem,
  directory: string,
  minFreeBytes: number,
): Promise<void> {
  const freeBytes = await fileSystem.freeBytes(directory)
  if (freeBytes < Math.max(minFreeBytes, START_BYTES)) {
    await fileSystem.remove(ballastPath(directory))
  }
}

export class DiskSpace {
  readonly #fileSystem: FileSystem
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #options: DiskSpaceOptions
  readonly #retries: (() => void)[] = []
  #full: boolean = false
  #timer: Timer | undefined
  #probe: Promise<void> = Promise.resolve()
  #closed: boolean = false
  /** Called when space has returned. */
  onHealed: () => void = () => undefined

  constructor(
    deps: { fileSystem: FileSystem; clock: Clock; logger: Logger },
    options: DiskSpaceOptions,
  ) {
    this.#fileSystem = deps.fileSystem
    this.#clock = deps.clock
    this.#logger = deps.logger
    this.#options = options
  }

  get isFull(): boolean {
    return this.#full
  }

  /** Lays in the ballast and begins to watch. */
  async start(): Promise<void> {
    await this.#check()
    this.#arm()
  }

  /** A write has failed for want of space. */
  noteFull(): void {
    if (this.#full) return
    this.#full = true
    this.#logger.error(
      { directory: this.#options.directory },
      'the disk is full; appends are refused',
    )
  }

  /** Resolves when a write that failed for want of space is worth another try. */
  retry(): Promise<void> {
    if (this.#closed) {
      return Promise.reject(new ServiceError('disk-full', 'the disk is full and the node stops'))
    }
    return new Promise((resolve) => this.#retries.push(resolve))
  }

  /** Whoever waits for a retry gets it now, and is refused from then on. */
  async close(): Promise<void> {
    this.#closed = true
    this.#timer?.cancel()
    await this.#probe
    this.#wake()
  }

  #arm(): void {
    if (this.#closed) return
    this.#timer = this.#clock.timer(PROBE_MS, () => {
      this.#probe = this.#check()
        .catch((error: unknown) => this.#logger.warn({ err: error }, 'cannot tell the free space'))
        .then(() => {
          this.#wake()
          this.#arm()
        })
    })
  }

  async #check(): Promise<void> {
    const { directory, ballastBytes, minFreeBytes } = this.#options
    const freeBytes = await this.#fileSystem.freeBytes(directory)
    if (freeBytes < minFreeBytes) this.noteFull()
    if (this.#full) await this.#fileSystem.remove(this.#ballastPath)
    const laidIn = (await this.#fileSystem.size(this.#ballastPath)) ?? 0
    const missingBytes = Math.max(0, ballastBytes - laidIn)
    const leftBytes =
      (this.#full ? await this.#fileSystem.freeBytes(directory) : freeBytes) - missingBytes
    if (leftBytes < Math.max(1, minFreeBytes) || (missingBytes > 0 && !(await this.#layBallast())))
      return
    if (!this.#full) return
    this.#full = false
    this.#logger.info({ freeBytes: leftBytes }, 'the disk has space again')
    this.onHealed()
  }

  async #layBallast(): Promise<boolean> {
    const { ballastBytes } = this.#options
    const file = await this.#fileSystem.open(this.#ballastPath, 'create')
    try {
      const zeros = new Uint8Array(Math.min(CHUNK_BYTES, ballastBytes))
      let at = 0
      while (at < ballastBytes) {
        at += await file.writeAt([zeros.subarray(0, Math.min(zeros.length, ballastBytes - at))], at)
      }
      await file.syncData()
      return true
    } catch (error) {
      if (!isNoSpace(error)) throw error
      this.noteFull()
      return false
    } finally {
      await file.close()
    }
  }

  #wake(): void {
    for (const resolve of this.#retries.splice(0)) resolve()
  }

  get #ballastPath(): string {
    return ballastPath(this.#options.directory)
  }
}

function ballastPath(directory: string): string {
  return `${directory}/ballast`
}

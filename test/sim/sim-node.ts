/** A storage node: a machine with a disk, on which one process after the other lives. */
import type { ClusterCode, ReplicaView, StorageUnderTest, StorageWorld } from './cluster-code.ts'
import type { SimFileSystemOptions } from './sim-file-system.ts'
import { SimFileSystem } from './sim-file-system.ts'
import { SimProcess } from './sim-process.ts'
import { SimStoreHandle } from './sim-store-handle.ts'
import type { SimWorld } from './sim-world.ts'

/** How long the supervisor waits before it starts a process that has ended. */
const RESTART_MS = 500
/** After which whoever stops it loses patience. */
const STOP_TIMEOUT_MS = 30_000
const DISK_LATENCY_MS = 2

/** A process together with what it sees of the machine. */
interface Life {
  readonly process: SimProcess
  readonly store: SimStoreHandle
  /** Undefined until it has started. */
  running: StorageUnderTest | undefined
}

/** What a machine is like. */
export interface SimPlace {
  readonly rack: string
  readonly memoryBytes: number
}

export class SimNode {
  readonly id: number
  readonly name: string
  /** Whether a process that ended is started again. */
  supervised: boolean = true
  /** The disk was emptied, and the operator knows. */
  acceptEmptyData: boolean = false
  /** Called when a process has come up. */
  onUp: () => void = () => undefined
  /** Called when a process is about to end. */
  onEnding: () => void = () => undefined
  diskLatencyMs = DISK_LATENCY_MS
  lives = 0
  readonly #world: SimWorld
  readonly #code: ClusterCode
  readonly #place: SimPlace
  #disk: SimFileSystem
  #life: Life | undefined
  #stopping: Life | undefined

  constructor(world: SimWorld, code: ClusterCode, id: number, place: SimPlace) {
    this.id = id
    this.name = `n${id}`
    this.#world = world
    this.#code = code
    this.#place = place
    this.#disk = new SimFileSystem({ random: world.fork() })
  }

  get isUp(): boolean {
    return this.#life !== undefined
  }

  get isPaused(): boolean {
    return this.#life?.process.clock.isPaused === true
  }

  get running(): StorageUnderTest | undefined {
    return this.#life?.running
  }

  get disk(): SimFileSystem {
    return this.#disk
  }

  get clock() {
    return this.#life?.process.clock
  }

  /** The way to the metadata store of the process that runs now. */
  get store(): SimStoreHandle | undefined {
    return this.#life?.store
  }

  *replicas(): Iterable<ReplicaView> {
    if (this.#life?.running !== undefined) yield* this.#life.running.replicas()
  }

  start(): void {
    if (this.#life !== undefined) return
    const process = new SimProcess(this.#world, this.name)
    const store = this.#storeHandle(process)
    const life: Life = { process, store, running: undefined }
    this.#life = life
    this.lives++
    this.#disk = this.#disk.kill(this.#diskOptions(process))
    this.#world.trace.add(this.name, 'starts')
    this.#code.startStorage(this.#storageWorld(life)).then(
      (running) => {
        life.running = running
        if (this.#life !== life) return
        this.acceptEmptyData = false
        this.#world.trace.add(this.name, 'is up')
        this.onUp()
      },
      (error: unknown) => {
        if (this.#life !== life) return
        this.#world.trace.add(this.name, `does not start: ${String(error)}`)
        this.kill()
      },
    )
  }

  /** The process is killed; the machine goes on. */
  kill(): void {
    if (this.#endLife(false, 'is killed')) this.#disk = this.#disk.kill()
  }

  /** Power fails: of what was not synced any part is left. */
  losePower(): void {
    if (this.#endLife(true, 'loses power')) this.#disk = this.#disk.crash(this.#world.random)
  }

  /** The machine gets an empty disk in place of its own. The process must be down. */
  emptyDisk(): void {
    this.#world.trace.add(this.name, 'gets an empty disk')
    this.#disk = new SimFileSystem({ random: this.#world.fork() })
    this.acceptEmptyData = true
  }

  pause(): void {
    if (this.#life === undefined || this.isPaused) return
    this.#world.trace.add(this.name, 'is paused')
    this.#life.process.clock.pause()
  }

  resume(): void {
    if (!this.isPaused) return
    this.#world.trace.add(this.name, 'goes on')
    this.#life?.process.clock.resume()
  }

  /** Whether its process was told to stop, and has not yet. */
  get isStopping(): boolean {
    return this.#life !== undefined && this.#life === this.#stopping
  }

  /** As a deployment does it: drained, stopped, started again. */
  async restartInOrder(): Promise<void> {
    const life = this.#life
    if (life?.running === undefined) return
    this.#stopping = life
    this.#world.trace.add(this.name, 'is stopped in good order')
    this.#world.clock.timer(STOP_TIMEOUT_MS, () => {
      if (this.#life === life) this.kill()
    })
    try {
      await life.running.stop()
    } catch (error) {
      this.#world.trace.add(this.name, `does not stop: ${String(error)}`)
    }
    if (this.#life === life) this.kill()
  }

  #endLife(silently: boolean, how: string): boolean {
    const life = this.#life
    if (life === undefined) return false
    this.#world.trace.add(this.name, how)
    this.onEnding()
    this.#life = undefined
    life.process.end(silently)
    this.#world.clock.timer(RESTART_MS, () => {
      if (this.supervised) this.start()
    })
    return true
  }

  #storeHandle(process: SimProcess): SimStoreHandle {
    const { store, clock, trace } = this.#world
    return new SimStoreHandle({
      store,
      clock: process.clock,
      outside: clock,
      random: this.#world.fork(),
      name: this.name,
      trace: (what) => trace.add(this.name, what),
    })
  }

  #diskOptions(process: SimProcess): SimFileSystemOptions {
    return { clock: process.clock, latencyMs: this.diskLatencyMs, random: this.#world.fork() }
  }

  #storageWorld({ process, store }: Life): StorageWorld {
    const { clock, random, logger, transport } = process
    return {
      clock,
      random,
      logger,
      transport,
      store,
      nodeId: this.id,
      ...this.#place,
      fileSystem: this.#disk,
      acceptEmptyData: this.acceptEmptyData,
      listen: async (service) => this.#world.network.listen(process, service),
      onFatal: (error) => {
        if (!process.isUp) return
        this.#world.trace.add(this.name, `fatal: ${String(error)}`)
        // It ends by itself, in an event of its own: what runs now is still its code.
        this.#world.clock.timer(0, () => {
          if (this.#life?.process === process) this.kill()
        })
      },
    }
  }
}

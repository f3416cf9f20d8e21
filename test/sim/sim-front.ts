/** A front: a process without a disk, that is simply started anew when it has ended. */
import type { ClusterCode, FrontUnderTest } from './cluster-code.ts'
import { SimProcess } from './sim-process.ts'
import type { SimWorld } from './sim-world.ts'

const RESTART_MS = 500

export class SimFront {
  readonly name: string
  readonly #world: SimWorld
  readonly #code: ClusterCode
  readonly #seeds: readonly string[]
  readonly #rack: string
  #process: SimProcess | undefined
  #running: FrontUnderTest | undefined

  constructor(
    world: SimWorld,
    code: ClusterCode,
    place: { readonly name: string; readonly rack: string },
    seeds: readonly string[],
  ) {
    this.#world = world
    this.#code = code
    this.name = place.name
    this.#rack = place.rack
    this.#seeds = seeds
  }

  get running(): FrontUnderTest | undefined {
    return this.#running
  }

  get process(): SimProcess | undefined {
    return this.#process
  }

  start(): void {
    if (this.#process !== undefined) return
    const process = new SimProcess(this.#world, this.name)
    this.#process = process
    this.#world.trace.add(this.name, 'starts')
    const again = (error: unknown) => {
      if (this.#process !== process) return
      this.#world.trace.add(this.name, `does not start: ${String(error)}`)
      this.kill()
    }
    this.#code.startFront(process, this.#seeds, this.#rack).then((running) => {
      if (this.#process !== process) return
      this.#world.trace.add(this.name, 'is up')
      this.#running = running
    }, again)
  }

  kill(): void {
    if (this.#process === undefined) return
    this.#world.trace.add(this.name, 'is killed')
    this.#process.end(false)
    this.#process = undefined
    this.#running = undefined
    this.#world.clock.timer(RESTART_MS, () => this.start())
  }
}

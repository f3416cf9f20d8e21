/** One life of a process: from its start to its end, with a clock, a place in the network and a log. */
import type { Logger } from '../../src/env/logger.ts'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import type { Transport } from '../../src/env/transport.ts'
import type { ProcessWorld } from './cluster-code.ts'
import type { SimHost } from './sim-network.ts'
import { SimNodeClock } from './sim-node-clock.ts'
import type { SimWorld } from './sim-world.ts'

export class SimProcess implements ProcessWorld, SimHost {
  readonly name: string
  readonly clock: SimNodeClock
  readonly random: SeededRandom
  readonly logger: Logger
  readonly transport: Transport
  readonly #world: SimWorld

  constructor(world: SimWorld, name: string) {
    const { random, clock, network } = world
    this.#world = world
    this.name = name
    const { maxSkewMs, maxDrift } = world.options
    this.clock = new SimNodeClock(clock, {
      skewMs: Math.floor((random.float() * 2 - 1) * maxSkewMs),
      rate: 1 + (random.float() * 2 - 1) * maxDrift,
    })
    this.random = new SeededRandom(random.uint32())
    this.logger = this.#logger({})
    this.transport = network.transport(this)
  }

  get isUp(): boolean {
    return !this.clock.isEnded
  }

  /** Ends it here and now. `silently`: nobody tells its peers, as when the machine goes down with it. */
  end(silently: boolean): void {
    this.clock.end()
    this.#world.network.ended(this, silently)
  }

  #logger(bound: object): Logger {
    const note = (level: string) => (fields: object, message: string) => {
      if (this.clock.isEnded) return
      this.#world.trace.add(this.name, `${level} ${message}${detailOf({ ...bound, ...fields })}`)
    }
    return {
      debug: () => undefined,
      info: note('info'),
      warn: note('warn'),
      error: note('error'),
      child: (fields) => this.#logger({ ...bound, ...fields }),
    }
  }
}

/** Errors by their message only: where they come from is no part of what happened. */
function detailOf(fields: object): string {
  const text = JSON.stringify(fields, (_, value: unknown) =>
    value instanceof Error ? `${value.name}: ${value.message}` : value,
  )
  return text === '{}' ? '' : ` ${text}`
}

/** What all of a simulated cluster share: time, chance, network, metadata store and trace. */
import { SeededRandom } from '../../src/env/seeded-random.ts'
import { withoutAmbient } from './ambient-trap.ts'
import { SimClock } from './sim-clock.ts'
import { SimNetwork } from './sim-network.ts'
import { SimStore } from './sim-store.ts'
import { SimTrace } from './sim-trace.ts'

export interface SimWorldOptions {
  /** Largest error of a wall clock. */
  readonly maxSkewMs: number
  /** Largest error of a clock's speed. */
  readonly maxDrift: number
}

export class SimWorld {
  readonly options: SimWorldOptions
  readonly clock: SimClock
  readonly random: SeededRandom
  readonly trace: SimTrace
  readonly network: SimNetwork
  readonly store: SimStore

  constructor(seed: number, options: Partial<SimWorldOptions> = {}) {
    this.options = { maxSkewMs: 0, maxDrift: 0, ...options }
    this.clock = new SimClock({ around: withoutAmbient })
    this.random = new SeededRandom(seed)
    this.trace = new SimTrace(() => this.clock.monotonicMs())
    this.network = new SimNetwork({
      clock: this.clock,
      random: this.fork(),
      trace: (where, what) => this.trace.add(where, what),
    })
    this.store = new SimStore(this.clock)
  }

  /** Chance of its own for a part, so that one that draws more often does not shift all the others. */
  fork(): SeededRandom {
    return new SeededRandom(this.random.uint32())
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.clock.timer(ms, resolve)
    })
  }
}

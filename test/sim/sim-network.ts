/**
 * The network between simulated nodes: HTTP over TCP, with the same bytes as the real one. A call is
 * delivered at most once; its answer may be lost, or break off in its midst. What a blocked link
 * holds back arrives when it is open again, as TCP sends it again, unless somebody gave up.
 */

import type { Random } from '../../src/env/random.ts'
import type { Transport } from '../../src/env/transport.ts'
import { TransportError } from '../../src/env/transport.ts'
import type { InternalService } from '../../src/internal/internal-service.ts'
import { SimCall } from './sim-call.ts'
import type { SimClock } from './sim-clock.ts'
import type { SimNodeClock } from './sim-node-clock.ts'

/** What a node answers calls with. */
export type SimService = Pick<InternalService, 'handle'>

/** A process with its place in the network. */
export interface SimHost {
  readonly name: string
  readonly clock: SimNodeClock
}

export interface NetworkFaults {
  /** Usual longest time of a message. */
  latencyMs: number
  /** Share of messages that take up to fifty times that. */
  slowShare: number
  /** Share of calls that are cut: before they are sent, before the answer, or in its midst. */
  cutShare: number
}

/** What a scenario does to a call. `drop-answer`: the peer has acted on it, the caller never learns of it. */
export type Verdict = 'deliver' | 'drop-call' | 'drop-answer'

export interface CallInFlight {
  readonly from: string
  readonly to: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
}

const NO_FAULTS: NetworkFaults = { latencyMs: 1, slowShare: 0, cutShare: 0 }
const SLOW_FACTOR = 50
const PORT = 7000

interface Held {
  readonly from: string
  readonly to: string
  readonly resend: () => void
}

export class SimNetwork {
  readonly clock: SimClock
  readonly random: Random
  readonly faults: NetworkFaults = { ...NO_FAULTS }
  /** Asked about each call; for scenarios. */
  judge: (call: CallInFlight) => Verdict = () => 'deliver'
  /** Gives what arrives of a piece of an answer; for scenarios. */
  tamper: (call: Pick<CallInFlight, 'from' | 'to' | 'path'>, piece: Uint8Array) => Uint8Array = (
    _,
    piece,
  ) => piece
  readonly trace: (where: string, what: string) => void
  readonly #listeners = new Map<string, { host: SimHost; service: SimService }>()
  readonly #blocked = new Set<string>()
  /** Calls under way, so that they end with a process. */
  readonly #calls = new Set<SimCall>()
  /** Pooled connections that are believed to be open. */
  readonly #warm = new Set<string>()
  #held: Held[] = []

  constructor(deps: {
    clock: SimClock
    random: Random
    trace?: (where: string, what: string) => void
  }) {
    this.clock = deps.clock
    this.random = deps.random
    this.trace = deps.trace ?? (() => undefined)
  }

  urlOf(name: string): string {
    return `http://${name}:${PORT}`
  }

  transport(host: SimHost): Transport {
    const calls = new Set<SimCall>()
    let isClosed = false
    return {
      call: async (url, call, lane, signal) => {
        if (isClosed) throw new TransportError('the transport is closed', false)
        const under = new SimCall(this, { host, url, call, lane, signal })
        calls.add(under)
        this.#calls.add(under)
        under.onEnd = () => {
          calls.delete(under)
          this.#calls.delete(under)
        }
        return under.run()
      },
      close: async () => {
        isClosed = true
        for (const call of [...calls]) call.abort()
      },
    }
  }

  listen(host: SimHost, service: SimService): { url: string; close(): Promise<void> } {
    const url = this.urlOf(host.name)
    const listener = { host, service }
    this.#listeners.set(url, listener)
    return {
      url,
      close: async () => {
        if (this.#listeners.get(url) === listener) this.#listeners.delete(url)
        for (const call of [...this.#calls]) call.peerClosed(host)
      },
    }
  }

  /** The process is gone. `silently`: with its machine, so that nobody tells its peers. */
  ended(host: SimHost, silently: boolean): void {
    for (const [url, listener] of this.#listeners) {
      if (listener.host === host) this.#listeners.delete(url)
    }
    for (const key of [...this.#warm]) {
      const [from, to] = key.split('>')
      if (from === host.name || (to === host.name && !silently)) this.#warm.delete(key)
    }
    for (const call of [...this.#calls]) call.processEnded(host, silently)
  }

  /** Messages from one to the other stop; those the other way go on. */
  block(from: string, to: string): void {
    this.#blocked.add(`${from}>${to}`)
  }

  /** Nothing passes between the two groups. */
  partition(a: readonly string[], b: readonly string[]): void {
    for (const x of a) {
      for (const y of b) {
        this.block(x, y)
        this.block(y, x)
      }
    }
  }

  /** Undoes `partition` and `block` between the two groups, both ways. */
  open(a: readonly string[], b: readonly string[]): void {
    for (const x of a) {
      for (const y of b) {
        this.#blocked.delete(`${x}>${y}`)
        this.#blocked.delete(`${y}>${x}`)
      }
    }
    this.#release()
  }

  heal(): void {
    this.#blocked.clear()
    Object.assign(this.faults, NO_FAULTS)
    this.#release()
  }

  isBlocked(from: string, to: string): boolean {
    return this.#blocked.has(`${from}>${to}`)
  }

  listenerAt(url: string): { host: SimHost; service: SimService } | undefined {
    return this.#listeners.get(url)
  }

  /** Whether the connection for the next call is one that was used before. */
  isWarm(from: string, to: string, lane: string): boolean {
    return this.#warm.has(`${from}>${to}>${lane}`)
  }

  setWarm(from: string, to: string, lane: string, warm: boolean): void {
    const key = `${from}>${to}>${lane}`
    if (warm) this.#warm.add(key)
    else this.#warm.delete(key)
  }

  #release(): void {
    const held = this.#held
    this.#held = held.filter(({ from, to }) => this.isBlocked(from, to))
    for (const { from, to, resend } of held) if (!this.isBlocked(from, to)) resend()
  }

  /** Runs `arrive` in the process at the other end, or in nobody's, when the message has come through. */
  transmit(from: string, to: string, at: SimNodeClock | undefined, arrive: () => void): void {
    const { latencyMs, slowShare } = this.faults
    const factor = this.random.float() < slowShare ? SLOW_FACTOR : 1
    const delayMs = (0.1 + 0.9 * this.random.float()) * latencyMs * factor
    this.clock.timer(delayMs, () => {
      if (this.isBlocked(from, to)) {
        this.#held.push({ from, to, resend: () => this.transmit(from, to, at, arrive) })
      } else if (at?.isPaused === true) at.timer(0, arrive)
      else if (at?.isEnded !== true) arrive()
    })
  }
}

/** One call over the simulated network, from both ends: what each of them sees of it, and when. */
import type { InternalAnswer, InternalCall, Lane } from '../../src/env/transport.ts'
import { TransportError } from '../../src/env/transport.ts'
import type { IncomingCall, OutgoingAnswer } from '../../src/internal/internal-handler.ts'
import { SimBody } from './sim-body.ts'
import type { SimHost, SimNetwork, SimService } from './sim-network.ts'

export interface SimCallOptions {
  /** Who calls. */
  readonly host: SimHost
  readonly url: string
  readonly call: InternalCall
  readonly lane: Lane
  readonly signal: AbortSignal
}

/** How long a connection may take to be made. */
const CONNECT_TIMEOUT_MS = 2_000

type Cut = 'none' | 'call' | 'answer' | 'body'

export class SimCall {
  onEnd: () => void = () => undefined
  readonly #network: SimNetwork
  readonly #options: SimCallOptions
  /** What the peer watches: aborted when the connection breaks. */
  readonly #peerSignal = new AbortController()
  readonly #answer = Promise.withResolvers<InternalAnswer>()
  readonly #body: SimBody
  readonly #cut: Cut
  readonly #to: string
  #peer: { host: SimHost; service: SimService } | undefined
  #sent: boolean = false
  #hasHead: boolean = false
  #over: boolean = false
  /** From the peer to the caller, in order. */
  readonly #queue: (() => void)[] = []

  constructor(network: SimNetwork, options: SimCallOptions) {
    this.#network = network
    this.#options = options
    this.#to = new URL(options.url).hostname
    this.#body = new SimBody(() => this.abort())
    const { random, faults } = network
    const cuts = ['call', 'answer', 'body'] as const
    const isCut = random.float() < faults.cutShare
    this.#cut = isCut ? (cuts[random.uint32() % cuts.length] as Cut) : 'none'
  }

  run(): Promise<InternalAnswer> {
    const { signal, host } = this.#options
    if (signal.aborted || host.clock.isEnded) {
      this.#fail('the call was given up')
      return this.#answer.promise
    }
    signal.addEventListener('abort', this.abort, { once: true })
    this.#connect()
    return this.#answer.promise
  }

  /** The caller gives up: its end of the connection is gone at once, the peer learns of it later. */
  readonly abort = (): void => {
    if (this.#over) return
    this.#fail('the call was given up')
    this.#breakAtPeer()
  }

  /** The peer closed its server in good order. */
  peerClosed(host: SimHost): void {
    if (this.#peer?.host === host) this.#reset()
  }

  processEnded(host: SimHost, silently: boolean): void {
    if (host === this.#options.host) {
      this.#end()
      if (!silently) this.#breakAtPeer()
    } else if (this.#peer?.host === host && !silently) this.#reset()
  }

  get #from(): string {
    return this.#options.host.name
  }

  /** A warm connection only has to carry the call; a new one needs both ways first. */
  #connect(): void {
    const { lane, host } = this.#options
    if (this.#network.isWarm(this.#from, this.#to, lane)) {
      this.#sent = true
      this.#network.transmit(this.#from, this.#to, undefined, () => this.#arrive())
      return
    }
    const timeout = host.clock.timer(CONNECT_TIMEOUT_MS, () => this.#fail('connect timeout'))
    // The handshake costs no message of its own here, but is held back by either way.
    if (this.#network.isBlocked(this.#to, this.#from)) return
    this.#network.transmit(this.#from, this.#to, host.clock, () => {
      timeout.cancel()
      if (this.#over) return
      if (this.#network.listenerAt(this.#options.url) === undefined) {
        this.#fail('connection refused')
        return
      }
      this.#sent = true
      this.#arrive()
    })
  }

  #arrive(): void {
    const { url, call } = this.#options
    const network = this.#network
    const peer = network.listenerAt(url)
    if (peer === undefined) {
      this.#reset()
      return
    }
    const verdict = network.judge({
      from: this.#from,
      to: this.#to,
      path: call.path,
      headers: call.headers,
    })
    if (this.#cut === 'call' || verdict === 'drop-call') {
      this.#reset()
      return
    }
    this.#peer = peer
    // Who gave up has closed the connection behind its bytes, which may come through all the same.
    if (this.#over && network.random.float() < 0.5) return
    if (this.#over) this.#breakAtPeer()
    const chunks = fragments(call.body, network)
    const run = () => this.#serve(peer.service, chunks, verdict === 'drop-answer')
    if (peer.host.clock.isPaused) peer.host.clock.timer(0, run)
    else run()
  }

  #serve(service: SimService, chunks: readonly Uint8Array[], dropAnswer: boolean): void {
    const { path, headers } = this.#options.call
    const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
    const call: IncomingCall = {
      path,
      headers: { ...headers, 'content-length': String(length) },
      body: arriving(chunks),
      signal: this.#peerSignal.signal,
    }
    service.handle(call).then(
      (answer) => {
        if (this.#cut === 'answer' || dropAnswer) {
          this.#reset()
          void leave(answer.body)
        } else void this.#reply(answer)
      },
      (error: unknown) => {
        this.#network.trace(this.#to, `handling ${path} threw ${String(error)}`)
        this.#reset()
      },
    )
  }

  /** Runs in the process of the peer. */
  async #reply(answer: OutgoingAnswer): Promise<void> {
    const { status, headers } = answer
    this.#toCaller(() => {
      this.#hasHead = true
      const { lane } = this.#options
      this.#network.setWarm(this.#from, this.#to, lane, true)
      this.#answer.resolve({ status, headers: { ...headers }, body: this.#body.chunks() })
    })
    try {
      for await (const chunk of answer.body) {
        if (this.#over) return
        if (this.#cut === 'body') {
          this.#reset()
          return
        }
        const { path } = this.#options.call
        const piece = this.#network.tamper({ from: this.#from, to: this.#to, path }, chunk)
        for (const part of fragments([piece], this.#network)) {
          this.#body.sent()
          this.#toCaller(() => this.#body.push(part))
        }
        await this.#room()
      }
      this.#toCaller(() => {
        this.#body.end()
        this.#end()
      })
    } catch (error) {
      this.#network.trace(this.#to, `the answer to ${this.#options.call.path} broke: ${error}`)
      this.#reset()
    }
  }

  /** Until the caller has taken enough; continues in the process of the peer. */
  #room(): Promise<void> {
    return new Promise((resolve) => {
      const peerClock = this.#peer?.host.clock
      this.#body.whenRoom(() => {
        if (peerClock !== undefined) peerClock.timer(0, resolve)
      })
    })
  }

  /** What the peer sends comes in the order in which it was sent. */
  #toCaller(arrive: () => void): void {
    this.#queue.push(arrive)
    if (this.#queue.length === 1) this.#sendNext()
  }

  #sendNext(): void {
    const { clock } = this.#options.host
    this.#network.transmit(this.#to, this.#from, clock, () => {
      // What was sent by now comes along.
      for (const arrive of this.#queue.splice(0)) if (!this.#over) arrive()
    })
  }

  /** The connection breaks; the caller learns of it as of everything else. */
  #reset(): void {
    if (this.#peer !== undefined) this.#breakAtPeer()
    this.#toCaller(() => this.#fail('connection reset'))
  }

  #breakAtPeer(): void {
    const peer = this.#peer
    if (peer === undefined) return
    this.#network.transmit(this.#from, this.#to, peer.host.clock, () => {
      this.#peerSignal.abort(new TransportError('the connection broke', true))
    })
  }

  #fail(reason: string): void {
    if (this.#over) return
    this.#network.setWarm(this.#from, this.#to, this.#options.lane, false)
    const error = new TransportError(`${this.#to}: ${reason}`, this.#sent)
    if (this.#hasHead) this.#body.fail(error)
    else this.#answer.reject(error)
    this.#end()
  }

  #end(): void {
    if (this.#over) return
    this.#over = true
    this.#options.signal.removeEventListener('abort', this.abort)
    this.onEnd()
  }
}

async function* arriving(chunks: readonly Uint8Array[]): AsyncIterable<Uint8Array> {
  yield* chunks
}

/** Gives back what an answer holds that nobody will read. */
async function leave(body: OutgoingAnswer['body']): Promise<void> {
  if (Symbol.asyncIterator in body) await body[Symbol.asyncIterator]().return?.()
}

/** The same bytes in other pieces, in memory of their own. */
function fragments(parts: readonly Uint8Array[], { random }: SimNetwork): Uint8Array[] {
  const pieces: Uint8Array[] = []
  for (const part of parts) {
    if (part.length === 0) continue
    const at = random.float() < 0.2 ? random.uint32() % part.length : 0
    if (at > 0) pieces.push(part.slice(0, at))
    pieces.push(part.slice(at))
  }
  return pieces
}

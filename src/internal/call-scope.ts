/**
 * How long calls may last: each until its caller goes away, or its deadline. A scope serves one call after
 * the other of the same caller: a signal, a listener and a timer for each cost a tenth of a short call.
 */
import type { Clock, Timer } from '../env/clock.ts'

/** Those that wait for the next call. */
const IDLE_MAX = 16

export class CallScopes {
  readonly #clock: Clock
  /** All of one caller; most calls have the one of the call before. */
  #idle: CallScope[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** `end` of what is returned must be called once, however the call ends. */
  begin(caller: AbortSignal, deadlineMs: number): CallScope {
    if (this.#idle[0] !== undefined && this.#idle[0].caller !== caller) this.#drop()
    const scope = this.#idle.pop() ?? new CallScope(this.#clock, caller, this.#onEnd)
    scope.begin(deadlineMs)
    return scope
  }

  readonly #onEnd = (scope: CallScope): void => {
    const [other] = this.#idle
    const isWanted = other === undefined || other.caller === scope.caller
    if (isWanted && this.#idle.length < IDLE_MAX && !scope.signal.aborted) this.#idle.push(scope)
    else scope.close()
  }

  #drop(): void {
    for (const scope of this.#idle) scope.close()
    this.#idle = []
  }
}

export class CallScope {
  readonly caller: AbortSignal
  readonly #clock: Clock
  readonly #onEnd: (scope: CallScope) => void
  readonly #controller = new AbortController()
  #timer: Timer | undefined
  /** When the timer looks, which may be before the deadline: that of a call before is left running. */
  #looksAtMs = Number.POSITIVE_INFINITY
  /** Of the call under way; infinite while there is none. */
  #deadlineMs = Number.POSITIVE_INFINITY
  #deadlinePassed: boolean = false

  constructor(clock: Clock, caller: AbortSignal, onEnd: (scope: CallScope) => void) {
    this.#clock = clock
    this.caller = caller
    this.#onEnd = onEnd
    if (caller.aborted) this.#controller.abort()
    else caller.addEventListener('abort', this.#abort, { once: true })
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Why the signal has aborted, if it has. */
  get stopped(): 'deadline' | 'aborted' | undefined {
    if (this.#deadlinePassed) return 'deadline'
    return this.caller.aborted ? 'aborted' : undefined
  }

  begin(deadlineMs: number): void {
    this.#deadlineMs = deadlineMs
    if (deadlineMs < this.#looksAtMs) this.#lookAt(deadlineMs)
  }

  end(): void {
    this.#deadlineMs = Number.POSITIVE_INFINITY
    this.#onEnd(this)
  }

  /** No call follows. */
  close(): void {
    this.#timer?.cancel()
    this.caller.removeEventListener('abort', this.#abort)
  }

  #lookAt(atMs: number): void {
    this.#timer?.cancel()
    this.#looksAtMs = atMs
    this.#timer = this.#clock.timer(Math.max(0, atMs - this.#clock.monotonicMs()), this.#look)
  }

  readonly #look = (): void => {
    this.#looksAtMs = Number.POSITIVE_INFINITY
    if (this.#deadlineMs === Number.POSITIVE_INFINITY) return
    // A timer may be early by less than a millisecond.
    if (this.#clock.monotonicMs() + 1 < this.#deadlineMs) {
      this.#lookAt(this.#deadlineMs)
      return
    }
    this.#deadlinePassed = true
    this.#controller.abort()
  }

  readonly #abort = (): void => this.#controller.abort()
}

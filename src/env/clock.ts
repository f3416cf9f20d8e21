/** Time and turns, as the rest of the code sees them; nothing outside env/ touches the real ones. */
export interface Timer {
  cancel(): void
}

export interface Clock {
  /** Wall clock, milliseconds since the epoch; may jump. */
  nowMs(): number
  /** Milliseconds since some fixed point; never goes back. */
  monotonicMs(): number
  /** Calls `run` once, `delayMs` from now. A pending timer does not keep the process alive. */
  timer(delayMs: number, run: () => void): Timer
  /** Calls `run` after the I/O that is ready now has been handled (setImmediate). */
  immediate(run: () => void): void
  /** Resolves after `delayMs`; rejects with the signal's reason on abort. */
  sleep(delayMs: number, signal: AbortSignal): Promise<void>
}

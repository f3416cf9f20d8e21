/** How every clock sleeps, the real one and those of tests: by its own timer. */
import type { Clock } from './clock.ts'

/** Resolves after `delayMs`; rejects with the signal's reason on abort. */
export function sleepOn(
  clock: Pick<Clock, 'timer'>,
  delayMs: number,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason)
      return
    }
    const abort = () => {
      timer.cancel()
      reject(signal.reason)
    }
    const timer = clock.timer(delayMs, () => {
      signal.removeEventListener('abort', abort)
      resolve()
    })
    signal.addEventListener('abort', abort, { once: true })
  })
}

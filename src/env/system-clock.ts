/** The real clock. Its timers never keep the process alive. */
import type { Clock, Timer } from './clock.ts'

/** Node fires at once what is set further ahead than this. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1

export class SystemClock implements Clock {
  nowMs(): number {
    return Date.now()
  }

  monotonicMs(): number {
    return performance.now()
  }

  timer(delayMs: number, run: () => void): Timer {
    let timeout: NodeJS.Timeout
    const arm = (leftMs: number) => {
      const stepMs = Math.min(leftMs, LONGEST_TIMEOUT_MS)
      timeout = setTimeout(() => {
        if (leftMs > stepMs) arm(leftMs - stepMs)
        else run()
      }, stepMs)
      timeout.unref()
    }
    arm(delayMs)
    return { cancel: () => clearTimeout(timeout) }
  }

  immediate(run: () => void): void {
    setImmediate(run)
  }

  sleep(delayMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason)
        return
      }
      const abort = () => {
        timer.cancel()
        reject(signal.reason)
      }
      const timer = this.timer(delayMs, () => {
        signal.removeEventListener('abort', abort)
        resolve()
      })
      signal.addEventListener('abort', abort, { once: true })
    })
  }
}

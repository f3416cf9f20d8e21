/** The real clock. Its timers never keep the process alive. */

import type { Clock, Timer } from './clock.ts'
import { sleepOn } from './sleep.ts'

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
    return sleepOn(this, delayMs, signal)
  }
}

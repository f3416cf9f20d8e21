/** V8's helper threads, which compile hot functions and mark the heap beside the event loop. */
import { readdirSync, readFileSync } from 'node:fs'
import { constants, getPriority, setPriority } from 'node:os'

const THREADS = '/proc/self/task'
/** In the name that Node gives them. */
const HELPER = 'V8Worker'
/** Of the scheduler's niceness: a tenth of the weight. */
const NICER = 10

/**
 * Has V8's helpers give way to the event loop where both want the same core. All of them come with the
 * process. Where threads are not listed, as outside of Linux, they stay as they are.
 */
export function yieldToEventLoop(): void {
  try {
    for (const thread of readdirSync(THREADS)) {
      if (nameOf(thread).includes(HELPER)) makeNicer(Number(thread))
    }
  } catch {
    // A thread ended meanwhile, or the process may not do this: it only serves less evenly then.
  }
}

function nameOf(thread: string): string {
  return readFileSync(`${THREADS}/${thread}/comm`, 'latin1')
}

function makeNicer(thread: number): void {
  setPriority(thread, Math.min(getPriority(thread) + NICER, constants.priority.PRIORITY_LOW))
}

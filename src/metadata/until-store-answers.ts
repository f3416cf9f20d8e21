/** Patience with a metadata store that is away: starting, and coming back, wait for it. */
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import type { Random } from '../env/random.ts'
import { whyOf } from '../lib/why.ts'
import { DamagedStoreError, StoreRefusedError } from './metadata-store.ts'

export interface StorePatience {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Pause between two attempts; half to one and a half of it. */
  readonly retryMs?: number
  /** Told before each pause why it is made. */
  readonly onWaiting?: (why: string) => void
}

const RETRY_MS = 1_000
/** After the first failure the log is told of every so manieth. */
const TELL_EVERY = 30

/**
 * What `attempt` gives, as soon as it does not fail. Rejects with the signal's reason on abort, and
 * with the errors that waiting does not mend: a store that is damaged or that refuses.
 */
export async function untilStoreAnswers<T>(
  attempt: () => Promise<T>,
  { clock, random, logger, retryMs = RETRY_MS, onWaiting }: StorePatience,
  signal: AbortSignal,
): Promise<T> {
  for (let failures = 0; ; failures++) {
    signal.throwIfAborted()
    try {
      return await attempt()
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof DamagedStoreError || error instanceof StoreRefusedError) throw error
      const why = whyOf(error)
      onWaiting?.(`waiting for the metadata store: ${why}`)
      if (failures % TELL_EVERY === 0) {
        logger.warn({ why, failures: failures + 1 }, 'waiting for the metadata store')
      }
    }
    await clock.sleep(retryMs * (0.5 + random.float()), signal)
  }
}

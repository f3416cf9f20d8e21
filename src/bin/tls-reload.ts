/** Reads certificates again when their files change, and at SIGHUP; broken ones leave those before in place. */
import process from 'node:process'
import type { Clock } from '../env/clock.ts'
import type { LiveTls } from '../env/live-tls.ts'
import type { Logger } from '../env/logger.ts'

const LOOK_MS = 10_000

/** `read` gives what the files hold now, or throws. For as long as the process lives. */
export function keepTlsFresh<T extends object>(
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
  tls: LiveTls<T>,
  read: () => T,
): void {
  let complaint = ''
  const look = (isAsked: boolean) => {
    try {
      const next = read()
      complaint = ''
      if (isSame(next, tls.current)) {
        if (isAsked) logger.info({}, 'the certificates are what they were')
        return
      }
      tls.replace(next)
      logger.info({}, 'new certificates are used from now on')
    } catch (error) {
      const why = (error as Error).message
      if (why !== complaint || isAsked) {
        logger.error({ why }, 'new certificates cannot be used; those before stay')
      }
      complaint = why
    }
  }
  const arm = () => {
    clock.timer(LOOK_MS, () => {
      look(false)
      arm()
    })
  }
  arm()
  process.on('SIGHUP', () => look(true))
}

function isSame(one: object, other: object): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}

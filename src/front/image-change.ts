/** Waits for the next image of the metadata, but not for long: a leader may also just be slow. */
import type { Clock } from '../env/clock.ts'
import type { MetadataView } from '../metadata/metadata-image.ts'

/** Resolves after a change or the time, whichever is first; rejects with the signal's reason on abort. */
export function imageChange(
  { clock, metadata }: { readonly clock: Clock; readonly metadata: MetadataView },
  maxMs: number,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason)
      return
    }
    const end = () => {
      timer.cancel()
      cancel()
      signal.removeEventListener('abort', abort)
    }
    const go = () => {
      end()
      resolve()
    }
    const abort = () => {
      end()
      reject(signal.reason)
    }
    const timer = clock.timer(maxMs, go)
    const cancel = metadata.onChange(go)
    signal.addEventListener('abort', abort, { once: true })
  })
}

/** Waiting for the next image, but not for ever. */
import type { Clock } from '../env/clock.ts'
import type { AwaitableMetadataView } from './metadata-image.ts'

/**
 * Resolves as soon as the image is newer than `version`, or after `timeoutMs`; rejects with the
 * signal's reason on abort.
 */
export async function waitForChange(
  { metadata, clock }: { readonly metadata: AwaitableMetadataView; readonly clock: Clock },
  version: number,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  const late = new AbortController()
  const timer = clock.timer(timeoutMs, () => late.abort())
  try {
    await metadata.waitForVersion(version + 1, AbortSignal.any([signal, late.signal]))
  } catch (error) {
    signal.throwIfAborted()
    if (!late.signal.aborted) throw error
  } finally {
    timer.cancel()
  }
}

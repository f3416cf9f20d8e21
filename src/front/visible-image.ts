/** What was written to the metadata store becomes visible here: until then its author cannot go on with it. */
import type { Clock } from '../env/clock.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { AwaitableMetadataView, MetadataImage } from '../metadata/metadata-image.ts'

/** How long the local image may take to show what was written. */
const VISIBLE_MS = 10_000

/**
 * Waits until the image has the revision; not for ever, should this node be cut off.
 * @throws ServiceError `outcome-unknown`, with `committed` yes; the signal's reason on abort
 */
export async function visibleImage(
  { view, clock }: { readonly view: AwaitableMetadataView; readonly clock: Clock },
  revision: number,
  signal: AbortSignal,
): Promise<MetadataImage> {
  const late = new AbortController()
  const timer = clock.timer(VISIBLE_MS, () => {
    const detail = 'the change is written, but this node cannot see it yet'
    late.abort(new ServiceError('outcome-unknown', detail, { committed: 'yes' }))
  })
  try {
    return await view.waitForVersion(revision, AbortSignal.any([signal, late.signal]))
  } finally {
    timer.cancel()
  }
}

/**
 * Whether the nodes that are up take calls of this one, asked before it registers: a node that knows
 * another secret would be given replicas that nobody can copy from it.
 */
import type { Clock } from '../env/clock.ts'
import { InternalCallError } from '../internal/internal-call-error.ts'
import type { InternalClient } from '../internal/internal-client.ts'
import type { InternalRefusalCode } from '../internal/internal-refusal.ts'
import { PATHS } from '../internal/paths.ts'
import { encodeFeed } from '../wire/metadata-feed.ts'
import type { MetadataImage, NodeImage } from './metadata-image.ts'

/** A node that is up refuses this one for good; the message says why and what to do. */
export class PeerDisagreesError extends Error {
  override readonly name = 'PeerDisagreesError'
}

/** What an operator has to mend; anything else may pass by itself. */
const WAYS_OUT: Partial<Record<InternalRefusalCode, string>> = {
  'bad-signature': 'give this node the same cluster secret (or TLS settings) as the others',
  'stale-call': 'set the clocks of both machines',
  'other-protocol': 'run versions of the program that understand each other',
}
const CALL_MS = 2_000

/**
 * Asks all at once; who does not answer says nothing.
 * @throws PeerDisagreesError
 */
export async function checkPeers(
  deps: { readonly clock: Clock; readonly client: InternalClient },
  { nodes, version }: MetadataImage,
  ownNodeId: number,
  signal: AbortSignal,
): Promise<void> {
  const { clock, client } = deps
  const body = encodeFeed({ after: version, waitMs: 0 })
  const ask = async ({ id, url }: NodeImage): Promise<void> => {
    try {
      const deadlineMs = clock.monotonicMs() + CALL_MS
      const options = { lane: 'control', deadlineMs, signal } as const
      await client.callWhole({ url, incarnation: 0 }, PATHS.metadata, [body], options)
    } catch (error) {
      const refusal = error instanceof InternalCallError ? error.refusal : undefined
      const wayOut = refusal && WAYS_OUT[refusal]
      if (wayOut === undefined) return
      throw new PeerDisagreesError(
        `node ${id} at ${url} refuses the calls of this node (${refusal}): ${wayOut}`,
        { cause: error },
      )
    }
  }
  await Promise.all([...nodes.values()].filter(({ id }) => id !== ownNodeId).map(ask))
}

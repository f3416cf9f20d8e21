/** Serves the fetches of followers. */
import type { ReplicaFetchReply, ReplicaFetchRequest } from '../wire/replica-fetch.ts'
import { decodeReplicaFetch, encodeReplicaAnswer } from '../wire/replica-fetch-codec.ts'
import { InternalRefusal } from './internal-refusal.ts'
import type { InternalService } from './internal-service.ts'
import { PATHS } from './paths.ts'

/** @throws ServiceError */
export type ReplicaFetchHandler = (
  request: ReplicaFetchRequest,
  signal: AbortSignal,
) => Promise<ReplicaFetchReply>

/** A follower speaks for itself only: what it says of its identity is what it has proved. */
export function registerReplicaEndpoint(
  service: InternalService,
  handle: ReplicaFetchHandler,
): void {
  service.register(PATHS.replicaFetch, async ({ body, sender, signal }) => {
    const request = decodeReplicaFetch(body)
    if (request.followerId !== sender.nodeId || request.incarnation !== sender.incarnation) {
      throw new InternalRefusal('malformed-call', 'A node fetches for another one.')
    }
    return { parts: encodeReplicaAnswer(await handle(request, signal)) }
  })
}

/** Serves what fronts ask of the coordinators of this node. */
import { decodeGroupCall, encodeGroupReply } from '../wire/group-call-codec.ts'
import type { GroupCoordinators } from '../wire/group-calls.ts'
import type { InternalService } from './internal-service.ts'
import { PATHS } from './paths.ts'

export function registerGroupEndpoint(
  service: InternalService,
  coordinators: GroupCoordinators,
): void {
  service.register(PATHS.groupCall, async ({ body, signal }) => {
    const { partition, call } = decodeGroupCall(body)
    return { parts: [encodeGroupReply(await coordinators.call(partition, call, signal))] }
  })
}

/** Serves what a leader alone can do with its leadership. */
import type { PartitionPlace } from '../wire/internal.ts'
import { decodePartitionCall, encodeControl } from '../wire/storage-control.ts'
import type { InternalService } from './internal-service.ts'
import { PATHS } from './paths.ts'

/** `handBack` makes the preferred leader the leader, if it can; whether it did. */
export function registerLeaderEndpoint(
  service: InternalService,
  handBack: (place: PartitionPlace) => Promise<boolean>,
): void {
  service.register(PATHS.handBack, async ({ body }) => {
    return { parts: [encodeControl({ moved: await handBack(decodePartitionCall(body)) })] }
  })
}

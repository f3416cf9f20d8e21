/** Serves what operators ask of a node through a front: what it holds, and to hand over what it leads. */
import type { PartitionPlace, ReplicaLog } from '../wire/internal.ts'
import { decodePartitionCall, decodePlaces, encodeControl } from '../wire/storage-control.ts'
import type { InternalService } from './internal-service.ts'
import { PATHS } from './paths.ts'

export interface OperatedNode {
  /** Makes the preferred leader of a partition its leader, if it can; whether it did. */
  handBack(place: PartitionPlace): Promise<boolean>
  /** Undefined for what the node does not hold. */
  replicaLogs(places: readonly PartitionPlace[]): (ReplicaLog | undefined)[]
}

export function registerOperatorEndpoints(service: InternalService, node: OperatedNode): void {
  service.register(PATHS.handBack, async ({ body }) => {
    return { parts: [encodeControl({ moved: await node.handBack(decodePartitionCall(body)) })] }
  })
  service.register(PATHS.replicaLogs, async ({ body }) => {
    return { parts: [encodeControl({ logs: node.replicaLogs(decodePlaces(body)) })] }
  })
}

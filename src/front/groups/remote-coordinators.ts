/** The coordinators of a cluster: each is the leader of its partition of the internal topic. */
import { OFFSETS_TOPIC } from '../../core/internal-topics.ts'
import type { Clock } from '../../env/clock.ts'
import { ServiceError } from '../../lib/service-error.ts'
import type { MetadataView } from '../../metadata/metadata-image.ts'
import type {
  GroupCall,
  GroupCallKind,
  GroupCoordinators,
  GroupReply,
} from '../../wire/group-calls.ts'
import type { StorageNodes } from '../storage-nodes.ts'

export interface RemoteCoordinatorsDeps {
  readonly clock: Clock
  readonly metadata: MetadataView
  readonly nodes: StorageNodes
}

const CALL_MS = 10_000

export class RemoteCoordinators implements GroupCoordinators {
  readonly #deps: RemoteCoordinatorsDeps

  constructor(deps: RemoteCoordinatorsDeps) {
    this.#deps = deps
  }

  async call<K extends GroupCallKind>(
    partition: number,
    call: GroupCall<K>,
    signal: AbortSignal,
  ): Promise<GroupReply<K>> {
    const { clock, metadata, nodes } = this.#deps
    const topic = metadata.image.topics.get(OFFSETS_TOPIC)
    const leader = topic && nodes.leaderOf(topic.id, partition)
    if (leader === undefined) {
      throw new ServiceError('partition-unavailable', 'the coordinator has no leader at the moment')
    }
    const waitMs = 'waitMs' in call.command ? call.command.waitMs : 0
    const deadlineMs = clock.monotonicMs() + waitMs + CALL_MS
    return await leader.client.groupCall(partition, call, { deadlineMs, signal })
  }
}

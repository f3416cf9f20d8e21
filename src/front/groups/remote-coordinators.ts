/** The coordinators of a cluster: each is the leader of its partition of the internal topic. */
import { OFFSETS_TOPIC } from '../../core/internal-topics.ts'
import type { Clock } from '../../env/clock.ts'
import type { StorageClient, WaitOptions } from '../../internal/storage-client.ts'
import { ServiceError } from '../../lib/service-error.ts'
import type { MetadataView } from '../../metadata/metadata-image.ts'
import type { GroupCallMessage } from '../../wire/group-call-codec.ts'
import type {
  GroupCall,
  GroupCallKind,
  GroupCoordinators,
  GroupReply,
} from '../../wire/group-calls.ts'
import type { StorageNodes } from '../storage-nodes.ts'
import { GroupLink } from './group-link.ts'

export interface RemoteCoordinatorsDeps {
  readonly clock: Clock
  readonly metadata: MetadataView
  readonly nodes: StorageNodes
}

const CALL_MS = 10_000

export class RemoteCoordinators implements GroupCoordinators {
  readonly #deps: RemoteCoordinatorsDeps

  readonly #links = new WeakMap<StorageClient, GroupLink>()

  constructor(deps: RemoteCoordinatorsDeps) {
    this.#deps = deps
  }

  call<K extends GroupCallKind>(
    partition: number,
    call: GroupCall<K>,
    signal: AbortSignal,
  ): Promise<GroupReply<K>> {
    const { clock, metadata, nodes } = this.#deps
    const topic = metadata.image.topics.get(OFFSETS_TOPIC)
    const leader = topic && nodes.leaderOf(topic.id, partition)
    if (leader === undefined) {
      const detail = 'the coordinator has no leader at the moment'
      return Promise.reject(new ServiceError('partition-unavailable', detail))
    }
    const message = { partition, call: call as GroupCall }
    const waitMs = 'waitMs' in call.command ? call.command.waitMs : 0
    const deadlineMs = clock.monotonicMs() + waitMs + CALL_MS
    const reply =
      waitMs === 0
        ? this.#link(leader.client).send(message, deadlineMs, signal)
        : alone(leader.client, message, { deadlineMs, signal })
    return reply as Promise<GroupReply<K>>
  }

  #link(client: StorageClient): GroupLink {
    let link = this.#links.get(client)
    if (link === undefined) {
      link = new GroupLink(client)
      this.#links.set(client, link)
    }
    return link
  }
}

/** What waits for a change has a call of its own, which ends with its caller. */
function alone(
  client: StorageClient,
  message: GroupCallMessage,
  options: WaitOptions,
): Promise<GroupReply> {
  const { results } = client.groupCalls([message], { ...options, isParked: true })
  return results[0] as Promise<GroupReply>
}

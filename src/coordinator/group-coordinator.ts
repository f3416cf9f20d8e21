/**
 * The coordinators of a node: one for each partition of the internal topic that the node leads. It
 * is loaded when the node becomes the leader, and given up when it is that no longer, or under
 * another epoch.
 */
import { OFFSETS_TOPIC } from '../core/internal-topics.ts'
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { MetadataImage, MetadataView } from '../metadata/metadata-image.ts'
import type {
  GroupCall,
  GroupCallKind,
  GroupCoordinators,
  GroupReply,
} from '../wire/group-calls.ts'
import type { AwaitChange, MemberView } from '../wire/groups.ts'
import { CoordinatorRuntime } from './coordinator-runtime.ts'
import { GROUP_CODEC } from './group-codec.ts'
import type { GroupRecord } from './group-records.ts'
import { GroupShard } from './group-shard.ts'
import { MemberWatches } from './member-watches.ts'
import type { LedPartition, StorageLogDeps } from './storage-log.ts'
import { StorageLog } from './storage-log.ts'

export interface GroupCoordinatorDeps extends StorageLogDeps {
  readonly clock: Clock
  readonly logger: Logger
  readonly metadata: MetadataView
}

export interface GroupCoordinatorOptions {
  readonly nodeId: number
  /** Calls that may wait for a change of a member; 20,000. */
  readonly maxWatches?: number
}

type Runtime = CoordinatorRuntime<GroupCall, GroupReply, GroupRecord>

interface Led extends LedPartition {
  readonly runtime: Runtime
}

const MAX_WATCHES = 20_000

export class GroupCoordinator implements GroupCoordinators {
  readonly #deps: GroupCoordinatorDeps
  readonly #nodeId: number
  readonly #watches: MemberWatches
  readonly #led = new Map<number, Led>()
  readonly #unsubscribe: () => void
  #closing: Promise<unknown> = Promise.resolve()

  constructor(deps: GroupCoordinatorDeps, { nodeId, maxWatches }: GroupCoordinatorOptions) {
    this.#deps = deps
    this.#nodeId = nodeId
    this.#watches = new MemberWatches(maxWatches ?? MAX_WATCHES)
    this.#unsubscribe = deps.metadata.onChange((image) => this.#follow(image))
    this.#follow(deps.metadata.image)
  }

  /** Partitions that this node is the coordinator of. */
  get partitions(): number {
    return this.#led.size
  }

  /** Calls that wait for a change. */
  get watches(): number {
    return this.#watches.size
  }

  call<K extends GroupCallKind>(
    partition: number,
    call: GroupCall<K>,
    signal: AbortSignal,
  ): Promise<GroupReply<K>> {
    const led = this.#led.get(partition)
    if (led === undefined) return Promise.reject(notHere())
    return this.#answer(led.runtime, call as GroupCall, signal) as Promise<GroupReply<K>>
  }

  async close(): Promise<void> {
    this.#unsubscribe()
    for (const led of this.#led.values()) {
      this.#resign(led, new ServiceError('draining', 'the node is shutting down'))
    }
    await this.#closing
  }

  #answer(runtime: Runtime, call: GroupCall, signal: AbortSignal): Promise<GroupReply> {
    return call.kind === 'awaitChange'
      ? this.#awaitChange(runtime, call.command, signal)
      : runtime.submit(call, signal)
  }

  #follow(image: MetadataImage): void {
    const topic = image.topics.get(OFFSETS_TOPIC)
    for (const [partition, led] of this.#led) {
      const state = topic?.id === led.topicId ? topic.partitions[partition] : undefined
      const isSame = state?.leader === this.#nodeId && state.leaderEpoch === led.leaderEpoch
      if (!isSame) this.#resign(led, notHere())
    }
    for (const [partition, { leader, leaderEpoch }] of topic?.partitions.entries() ?? []) {
      if (leader !== this.#nodeId || topic === undefined) continue
      const led = this.#led.get(partition)
      if (led === undefined) this.#lead({ topicId: topic.id, partition, leaderEpoch })
      else led.runtime.wake()
    }
  }

  #lead(at: LedPartition): void {
    const runtime: Runtime = new CoordinatorRuntime({
      ...this.#deps,
      codec: GROUP_CODEC,
      log: new StorageLog(this.#deps, at),
      makeShard: () =>
        new GroupShard({
          nodeId: this.#nodeId,
          onChange: (groupId, memberId) => this.#watches.changed(groupId, memberId),
        }),
    })
    this.#led.set(at.partition, { ...at, runtime })
  }

  #resign({ partition, runtime }: Led, reason: ServiceError): void {
    this.#led.delete(partition)
    this.#closing = Promise.all([this.#closing, runtime.close(reason)])
  }

  /** The view that it answers is committed, however it came about. */
  async #awaitChange(
    runtime: Runtime,
    { groupId, memberId, memberEpoch, version, waitMs }: AwaitChange,
    signal: AbortSignal,
  ): Promise<MemberView> {
    let wake = Promise.withResolvers<void>()
    let isOver = false
    const timer = this.#deps.clock.timer(waitMs, () => {
      isOver = true
      wake.resolve()
    })
    const abort = () => wake.resolve()
    const cancel = this.#watches.watch(groupId, memberId, () => wake.resolve())
    signal.addEventListener('abort', abort, { once: true })
    try {
      for (;;) {
        const look = { kind: 'view', command: { groupId, memberId, memberEpoch } } as const
        const view = (await runtime.submit(look, signal)) as MemberView
        if (view.version !== version || isOver) return view
        await wake.promise
        signal.throwIfAborted()
        wake = Promise.withResolvers()
      }
    } finally {
      timer.cancel()
      cancel()
      signal.removeEventListener('abort', abort)
    }
  }
}

function notHere(): ServiceError {
  return new ServiceError('partition-unavailable', 'the node does not lead the coordinator')
}

/** What the simulator starts on its nodes, and what it looks at inside of them. */
import type { TopicId } from '../../src/core/ids.ts'
import type { Clock } from '../../src/env/clock.ts'
import type { FileSystem } from '../../src/env/file-system.ts'
import type { Logger } from '../../src/env/logger.ts'
import type { Random } from '../../src/env/random.ts'
import type { Transport } from '../../src/env/transport.ts'
import type { Front } from '../../src/front/front.ts'
import type { Groups } from '../../src/front/groups/groups.ts'
import type { PartitionElections } from '../../src/front/partition-elections.ts'
import type { TopicAdmin } from '../../src/front/topic-admin.ts'
import type { MetadataView } from '../../src/metadata/metadata-image.ts'
import type { MetadataStore } from '../../src/metadata/metadata-store.ts'
import type { EpochStart } from '../../src/storage/leader-epochs.ts'
import type { SimService } from './sim-network.ts'

/** The world of one process. */
export interface ProcessWorld {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly transport: Transport
}

export interface StorageWorld extends ProcessWorld {
  readonly nodeId: number
  readonly rack: string
  readonly fileSystem: FileSystem
  /** Recent batches kept in memory. */
  readonly memoryBytes: number
  readonly store: MetadataStore
  /** The disk was lost: that its records are gone is known. */
  readonly acceptEmptyData: boolean
  listen(service: SimService): Promise<{ url: string; close(): Promise<void> }>
  onFatal(error: unknown): void
}

/** One replica, as it is at this moment. */
export interface ReplicaView {
  readonly topicId: TopicId
  readonly partition: number
  readonly leads: boolean
  readonly leaderEpoch: number
  readonly highWatermark: number
  readonly durableEnd: number
  readonly endOffset: number
  readonly startOffset: number
  /** Where each leader epoch begins in it. */
  readonly epochs: readonly EpochStart[]
  readonly sizeBytes: number
  /** Below it deletions of keys may be forgotten. */
  readonly purgedEnd: number
  readonly damaged: boolean
  /** Whole batches from an offset on; undefined if they are not in memory. */
  readMemory(fromOffset: number, endOffset: number): readonly Uint8Array[] | undefined
  /** As readMemory, from disk too; in pieces, the first of which may begin below. */
  read(fromOffset: number, endOffset: number): Promise<readonly Uint8Array[]>
}

export interface StorageUnderTest {
  replicas(): Iterable<ReplicaView>
  /** In good order. */
  stop(): Promise<void>
}

export interface FrontUnderTest {
  readonly front: Front
  readonly topics: TopicAdmin
  readonly groups: Groups
  readonly elections: PartitionElections
  readonly metadata: MetadataView
  stop(): Promise<void>
}

export interface ClusterCode {
  startStorage(world: StorageWorld): Promise<StorageUnderTest>
  /** `rack`: whose replicas it reads first; empty for leaders only. */
  startFront(world: ProcessWorld, seeds: readonly string[], rack: string): Promise<FrontUnderTest>
}

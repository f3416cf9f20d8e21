/** Looks into the replicas of a real node. */
import type { Replica } from '../../src/replication/replica.ts'
import type { ReplicaManager } from '../../src/replication/replica-manager.ts'
import type { ReplicaView } from './cluster-code.ts'

const NEVER = new AbortController().signal

export function* viewsOf(manager: ReplicaManager): Iterable<ReplicaView> {
  for (const replica of manager.replicas) yield new LiveReplicaView(manager, replica)
}

class LiveReplicaView implements ReplicaView {
  readonly #manager: ReplicaManager
  readonly #replica: Replica

  constructor(manager: ReplicaManager, replica: Replica) {
    this.#manager = manager
    this.#replica = replica
  }

  get topicId() {
    return this.#replica.log.identity.topicId
  }

  get partition() {
    return this.#replica.log.identity.partition
  }

  get leads(): boolean {
    return this.#replica.tenure !== undefined
  }

  get leaderEpoch(): number {
    return this.#replica.leaderEpoch
  }

  get highWatermark(): number {
    return this.#replica.log.highWatermark
  }

  get durableEnd(): number {
    return this.#replica.log.durableEnd
  }

  get endOffset(): number {
    return this.#replica.log.endOffset
  }

  get startOffset(): number {
    return this.#replica.log.startOffset
  }

  get epochs() {
    return this.#replica.log.epochs.starts
  }

  get sizeBytes(): number {
    return this.#replica.log.sizeBytes
  }

  get purgedEnd(): number {
    return this.#replica.log.compacted.purgedEnd
  }

  get damaged(): boolean {
    return this.#replica.log.damage !== undefined
  }

  readMemory(fromOffset: number, endOffset: number): readonly Uint8Array[] | undefined {
    const range = { offset: fromOffset, endOffset, maxBytes: Number.POSITIVE_INFINITY }
    return this.#manager.storage.reader.readMemory(this.#replica.log, range)?.batches
  }

  async read(fromOffset: number, endOffset: number): Promise<readonly Uint8Array[]> {
    const batches: Uint8Array[] = []
    let offset = fromOffset
    while (offset < endOffset) {
      const range = { offset, endOffset, maxBytes: 1024 * 1024 }
      const read = await this.#manager.storage.reader.read(this.#replica.log, range, NEVER)
      if (read.batches.length === 0) break
      batches.push(...read.batches)
      offset = read.nextOffset
    }
    return batches
  }
}

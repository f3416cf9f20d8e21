/**
 * Writes what the leaders on this node decide about their in-sync replicas. Each change is one
 * transaction over the partition, this node and every replica that joins (KIP-497, KIP-903): a node
 * that was restarted since it was heard of does not get in.
 */

import { withIsr } from '../core/election.ts'
import type { IsrProposal } from '../core/in-sync-replicas.ts'
import type { Clock, Timer } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import { ServiceError } from '../lib/service-error.ts'
import { whyOf } from '../lib/why.ts'
import type { MetadataView, PartitionImage } from '../metadata/metadata-image.ts'
import { nodeKey, partitionMetadataKey } from '../metadata/metadata-keys.ts'
import { encodeRecord } from '../metadata/metadata-records.ts'
import type { MetadataStore, Transaction } from '../metadata/metadata-store.ts'
import { LeaseGoneError } from '../metadata/metadata-store.ts'
import type { LeaderTenure } from './leader-tenure.ts'
import type { Replica } from './replica.ts'

export interface IsrChangesDeps {
  readonly store: MetadataStore
  readonly metadata: MetadataView
  readonly clock: Clock
  readonly logger: Logger
  readonly replicas: () => Iterable<Replica>
}

export interface IsrChangesOptions {
  readonly nodeId: number
  readonly incarnation: number
  readonly lagMaxMs: number
}

interface Change {
  readonly replica: Replica
  readonly tenure: LeaderTenure
  readonly proposal: IsrProposal
  readonly before: readonly number[]
}

const CONCURRENT = 8
const RETRY_MS = 500

export class IsrChanges {
  readonly #deps: IsrChangesDeps
  readonly #options: IsrChangesOptions
  readonly #stop = new AbortController()
  readonly #queue: Change[] = []
  readonly #writers = new Set<Promise<void>>()
  #timer: Timer | undefined

  constructor(deps: IsrChangesDeps, options: IsrChangesOptions) {
    this.#deps = deps
    this.#options = options
    this.#arm()
  }

  /** Looks at all partitions that are led here, as another node has come or gone. */
  considerAll(): void {
    for (const replica of this.#deps.replicas()) this.consider(replica)
  }

  /** Sees to it that the change is made which is due for the partition, if any. */
  consider(replica: Replica): void {
    const { tenure, log } = replica
    if (tenure === undefined || this.#stop.signal.aborted) return
    const bounds = {
      highWatermark: log.highWatermark,
      epochStart: tenure.epochStart,
      leaderEnd: log.durableEnd,
      leaderStart: log.startOffset,
    }
    const nowMs = this.#deps.clock.monotonicMs()
    const proposal = tenure.inSync.due(bounds, nowMs)
    if (proposal === undefined) return
    tenure.inSync.propose(proposal)
    this.#queue.push({ replica, tenure, proposal, before: tenure.inSync.assignment.isr })
    if (this.#writers.size >= CONCURRENT) return
    const writer = this.#drain().finally(() => this.#writers.delete(writer))
    this.#writers.add(writer)
  }

  async close(): Promise<void> {
    this.#stop.abort()
    this.#timer?.cancel()
    await Promise.all(this.#writers)
  }

  #arm(): void {
    this.#timer = this.#deps.clock.timer(this.#options.lagMaxMs / 4, () => {
      this.considerAll()
      if (!this.#stop.signal.aborted) this.#arm()
    })
  }

  async #drain(): Promise<void> {
    for (let change = this.#queue.shift(); change !== undefined; change = this.#queue.shift()) {
      await this.#write(change)
    }
  }

  async #write(change: Change): Promise<void> {
    const { replica, tenure, proposal } = change
    const transaction = this.#transaction(change)
    if (transaction === undefined) {
      tenure.inSync.rejected(proposal)
      return
    }
    let isUnknown = false
    while (!this.#stop.signal.aborted && replica.tenure === tenure) {
      try {
        const { succeeded } = await this.#deps.store.transact(transaction)
        // What was applied is seen in the image; until then the stricter view holds.
        if (succeeded) this.#tell(change)
        else if (!isUnknown || !(await this.#hasChanged(change))) tenure.inSync.rejected(proposal)
        return
      } catch (error) {
        const isRefused = error instanceof ServiceError || error instanceof LeaseGoneError
        if (isRefused && !isUnknown) {
          tenure.inSync.rejected(proposal)
          return
        }
        // It, or one before, may still be applied: only the same transaction again can tell.
        if (!isUnknown) this.#warn(change, error)
        isUnknown = true
        await this.#deps.clock.sleep(RETRY_MS, this.#stop.signal).catch(() => undefined)
      }
    }
  }

  #warn({ replica }: Change, error: unknown): void {
    const { topicName: topic, partition } = replica.log.identity
    const why = whyOf(error)
    const fields = { topic, partition, why }
    this.#deps.logger.warn(fields, 'a change of in-sync replicas has no outcome yet')
  }

  #transaction({ replica, proposal }: Change): Transaction | undefined {
    const { nodeId, incarnation } = this.#options
    const { topicId, partition } = replica.log.identity
    const state = this.#image(replica)
    const minInsync = replica.tenure?.inSync.assignment.minInsync
    if (state?.revision !== proposal.revision || minInsync === undefined) return undefined
    const { revision, ...record } = state
    const key = partitionMetadataKey(topicId, partition)
    return {
      compare: [
        { key, target: 'modRevision', equals: revision },
        { key: nodeKey(nodeId), target: 'createRevision', equals: incarnation },
        ...proposal.added.map((added) => ({
          key: nodeKey(added.nodeId),
          target: 'createRevision' as const,
          equals: added.incarnation,
        })),
      ],
      put: [{ key, value: encodeRecord(withIsr(record, proposal.isr, minInsync)) }],
    }
  }

  /** Whether the record is another one than the proposal would change. */
  async #hasChanged({ replica, proposal }: Change): Promise<boolean> {
    const { topicId, partition } = replica.log.identity
    const entry = await this.#deps.store.get(partitionMetadataKey(topicId, partition))
    return entry?.modRevision !== proposal.revision
  }

  #image({ log }: Replica): PartitionImage | undefined {
    const { topicId, partition } = log.identity
    return this.#deps.metadata.image.topicsById.get(topicId)?.partitions[partition]
  }

  #tell({ replica, proposal, before }: Change): void {
    const { topicName, partition } = replica.log.identity
    this.#deps.logger.info(
      { topic: topicName, partition, from: before, to: proposal.isr },
      'the in-sync replicas change',
    )
  }
}

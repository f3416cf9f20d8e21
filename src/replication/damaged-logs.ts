/**
 * What a node does about a log that turns out to be damaged while others have its records: it gives up
 * its votes, by registering anew, and then fills the log again from its leader. Between the two nobody
 * counts on what the log held, as whoever lets a replica in compares the registration that it asked under.
 */
import type { Logger } from '../env/logger.ts'
import type { Counter } from '../env/metrics.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { MetadataView } from '../metadata/metadata-image.ts'
import type { LogManager } from '../storage/log-manager.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import type { Replica } from './replica.ts'

export interface DamagedLogsDeps {
  readonly logger: Logger
  readonly metadata: MetadataView
  readonly storage: LogManager
  /** Whether the registration of this node can still be relied on. */
  readonly isFresh: () => boolean
  /** Ends the registration of this node, so that it registers anew. */
  readonly reregister: () => void
  /** Counts logs that were begun anew. */
  readonly begunAnew: Counter
}

export class DamagedLogs {
  readonly #deps: DamagedLogsDeps
  readonly #nodeId: number
  /** Those of which it was known when the node registered. */
  #voteless = new Set<PartitionLog>()

  constructor(deps: DamagedLogsDeps, options: { readonly nodeId: number }) {
    this.#deps = deps
    this.#nodeId = options.nodeId
  }

  /** The node has registered, and has no vote where its log is damaged. */
  registered(): void {
    const { logs } = this.#deps.storage
    this.#voteless = new Set([...logs].filter(({ damage }) => damage !== undefined))
  }

  /** Whether all that the log holds may be given up. */
  mayRefill(log: PartitionLog): boolean {
    return log.damage !== undefined && this.#voteless.has(log)
  }

  /** A log was emptied, and is filled again. */
  refilled(): void {
    this.#deps.begunAnew.increment()
  }

  /**
   * Records could not be read, cut or copied. Whoever alone has them goes on with what can be read:
   * false. True: the node gives the partition up to others.
   */
  found(replica: Replica, error: unknown): boolean {
    const { storage, metadata, logger, isFresh, reregister } = this.#deps
    const { log } = replica
    if (!(error instanceof ServiceError) || error.code !== 'partition-damaged') return false
    if (log.damage !== undefined) return true
    const { topicId, topicName: topic, partition } = log.identity
    const { topicsById, nodes } = metadata.image
    const isr = topicsById.get(topicId)?.partitions[partition]?.isr ?? []
    if (!isr.some((id) => id !== this.#nodeId && nodes.has(id)) || !isFresh()) return false
    log.damage = error.message
    storage.checkpoints.note(log)
    logger.error({ topic, partition, why: error.message }, 'a log is damaged; others take over')
    replica.become({ kind: 'idle' })
    reregister()
    return true
  }
}

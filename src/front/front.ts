/** The front as its routes see it: finds topics, takes records, reads them, and comes to rest when told to. */
import { isReservedName, parseTopicName } from '../core/ids.ts'
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import type { Metrics } from '../env/metrics.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { MetadataView, TopicImage } from '../metadata/metadata-image.ts'
import type { StorageService } from '../wire/internal.ts'
import { PageRenderer } from './page-renderer.ts'
import { Producer } from './produce.ts'
import { ProduceBatcher } from './produce-batcher.ts'
import { ProduceMeter } from './produce-meter.ts'
import { Reader } from './read.ts'
import { StickyPartitioner } from './sticky-partitioner.ts'
import { Subscriptions } from './subscriptions.ts'
import type { TopicAdmin } from './topic-admin.ts'

export interface FrontDeps {
  readonly clock: Clock
  readonly storage: StorageService
  readonly metadata: MetadataView
  readonly topics: Pick<TopicAdmin, 'autoCreate'>
  readonly logger: Logger
  readonly metrics: Metrics
}

export interface FrontOptions {
  /** Bytes of produced records that may be unfinished at once; 256 MiB. */
  readonly pendingBytes?: number
  /** Produced parts (one partition of one request) that may be unfinished at once; 20,000. */
  readonly pendingEntries?: number
  /** After this a producer is told that the outcome is unknown; 30 s. */
  readonly produceTimeoutMs?: number
  /** Reads that may wait at once; 20,000. */
  readonly waitingReads?: number
  /** Rendered pages that are kept for the next reader; 32 MiB. */
  readonly pageCacheBytes?: number
}

const MIB = 1024 * 1024
/** One batch is being written while the next one gathers, unless that is large enough by itself. */
const IN_FLIGHT_PER_PARTITION = 1
const WORTH_SENDING_BYTES = 64 * 1024

export class Front {
  readonly storage: StorageService
  readonly producer: Producer
  readonly reader: Reader
  readonly subscriptions: Subscriptions
  readonly #deps: FrontDeps
  readonly #batcher: ProduceBatcher
  readonly #onDrain = new Set<() => void>()
  #isDraining: boolean = false

  constructor(deps: FrontDeps, options: FrontOptions = {}) {
    const { clock, storage, metadata, logger } = deps
    const partitioner = new StickyPartitioner()
    this.#deps = deps
    this.storage = storage
    this.#batcher = new ProduceBatcher(
      {
        clock,
        storage,
        logger,
        meter: new ProduceMeter(deps.metrics),
        onCut: (topic, partition) => partitioner.passOn(topic, partition),
      },
      {
        pendingBytes: options.pendingBytes ?? 256 * MIB,
        pendingEntries: options.pendingEntries ?? 20_000,
        timeoutMs: options.produceTimeoutMs ?? 30_000,
        inFlightPerPartition: IN_FLIGHT_PER_PARTITION,
        worthSendingBytes: WORTH_SENDING_BYTES,
      },
    )
    this.producer = new Producer({ clock, partitioner, batcher: this.#batcher })
    const cacheBytes = (options.pageCacheBytes ?? 32 * MIB) / 2
    this.reader = new Reader(
      { clock, storage, metadata, renderer: new PageRenderer({ cacheBytes }) },
      { parkedReads: options.waitingReads ?? 20_000, knownPageBytes: cacheBytes },
    )
    this.subscriptions = new Subscriptions(deps)
    this.#measure(deps.metrics)
  }

  get isDraining(): boolean {
    return this.#isDraining
  }

  /** @throws ServiceError `topic-not-found` */
  topic(name: string): TopicImage {
    const topic = this.knownTopic(name)
    if (topic !== undefined) return topic
    throw new ServiceError('topic-not-found', `topic ${name} does not exist`)
  }

  knownTopic(name: string): TopicImage | undefined {
    const parsed = parseTopicName(name)
    if (parsed === undefined || isReservedName(parsed)) return undefined
    return this.#deps.metadata.image.topics.get(parsed)
  }

  /**
   * The topic that is produced to, made if that is allowed.
   * @throws ServiceError `topic-not-found`, and whatever its creation meets
   */
  createdTopic(name: string, signal: AbortSignal): Promise<TopicImage> {
    const parsed = parseTopicName(name)
    if (parsed === undefined) {
      return Promise.reject(new ServiceError('topic-not-found', `topic ${name} does not exist`))
    }
    return this.#deps.topics.autoCreate(parsed, signal)
  }

  /** Calls the listener once when the node begins to shut down; the returned function takes it back. */
  onDrain(listener: () => void): () => void {
    this.#onDrain.add(listener)
    return () => this.#onDrain.delete(listener)
  }

  /** Answers what waits, ends the streams, and resolves when every write is finished. New work must be kept away. */
  async drain(): Promise<void> {
    this.#beginDrain()
    this.reader.drain()
    this.subscriptions.endAll('draining')
    await this.#batcher.idle()
  }

  /** Ends at once what `drain` did not. */
  close(): void {
    this.#beginDrain()
    this.reader.close()
    this.subscriptions.close()
    this.#batcher.close()
  }

  #beginDrain(): void {
    this.#isDraining = true
    const listeners = [...this.#onDrain]
    this.#onDrain.clear()
    for (const listener of listeners) listener()
  }

  #measure(metrics: Metrics): void {
    const gauges: [string, string, () => number][] = [
      [
        'curlew_produce_pending_bytes',
        'Records not yet written.',
        () => this.#batcher.pendingBytes,
      ],
      ['curlew_waiting_reads', 'Reads that wait for records.', () => this.reader.parked],
      ['curlew_streams', 'Open streams.', () => this.subscriptions.streams],
      ['curlew_tail_hubs', 'Shared tails of streams.', () => this.subscriptions.hubs],
    ]
    for (const [name, help, collect] of gauges) metrics.gauge(name, help, collect)
  }
}

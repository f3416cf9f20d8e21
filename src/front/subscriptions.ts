/** All open streams of this front: starts them, shares their tails, and ends them when the topic changes. */
import type { TopicId } from '../core/ids.ts'
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import { Gate } from '../lib/gate.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { MetadataImage, MetadataView, TopicImage } from '../metadata/metadata-image.ts'
import { ByteWriter } from '../wire/byte-writer.ts'
import type { Isolation, StorageService } from '../wire/internal.ts'
import { GenerationCache } from './generation-cache.ts'
import type { ReadPositions } from './read-positions.ts'
import type { ReadRange } from './read-start.ts'
import type { StreamEndReason, StreamOutlet } from './stream-outlet.ts'
import { StreamReader } from './stream-reader.ts'
import type { StreamRendering } from './stream-renderer.ts'
import { StreamRenderer } from './stream-renderer.ts'
import type { StreamStart } from './stream-start.ts'
import { startStream } from './stream-start.ts'
import { Subscriber } from './subscriber.ts'
import { TailHub } from './tail-hub.ts'
import type { TailSegment } from './tail-ring.ts'

export interface SubscriptionRequest {
  readonly topic: TopicImage
  readonly range: ReadRange
  readonly isolation: Isolation
  readonly rendering: StreamRendering
}

export interface SubscriptionsDeps {
  readonly clock: Clock
  readonly storage: StorageService
  readonly metadata: MetadataView
  readonly logger: Logger
}

/** Streams that read the log themselves and hold what they fetched; a batch may have 16 MiB. */
const READERS_AT_ONCE = 8
/** Segments of readers that are behind: those who stand at the same place share them. */
const SEGMENT_CACHE_BYTES = 16 * 1024 * 1024

interface Open {
  readonly outlet: StreamOutlet
  readonly topicId: TopicId
  readonly partitionsAtStart: number
  /** Whether the stream covers all partitions. */
  readonly isWhole: boolean
}

/** A stream whose start is settled; nothing was sent yet. */
export interface PreparedStream {
  readonly request: SubscriptionRequest
  readonly start: StreamStart
}

export class Subscriptions {
  readonly #deps: SubscriptionsDeps
  readonly #hubs = new Map<string, TailHub>()
  readonly #open = new Set<Open>()
  readonly #out = new ByteWriter()
  readonly #gate = new Gate(READERS_AT_ONCE)
  readonly #segments = new GenerationCache<TailSegment>(SEGMENT_CACHE_BYTES)
  readonly #unfollow: () => void

  constructor(deps: SubscriptionsDeps) {
    this.#deps = deps
    this.#unfollow = deps.metadata.onChange((image) => this.#onMetadata(image))
  }

  get streams(): number {
    return this.#open.size
  }

  get hubs(): number {
    return this.#hubs.size
  }

  /**
   * Settles where the stream starts, so that nothing is missed that is produced afterwards.
   * @throws ServiceError for what is wrong with the request
   */
  async prepare(request: SubscriptionRequest): Promise<PreparedStream> {
    const start = await startStream(request.topic, request.range, this.#deps.storage)
    return { request, start }
  }

  /** Resolves when the connection is gone or its end was sent. */
  async run({ request, start }: PreparedStream, outlet: StreamOutlet): Promise<void> {
    const { topic } = request
    const isWhole = start.positions.partitions.length === topic.partitions.length
    const open = { outlet, topicId: topic.id, partitionsAtStart: topic.partitions.length, isWhole }
    this.#open.add(open)
    try {
      this.#endIfChanged(open, this.#deps.metadata.image)
      await this.#subscriber(request, start, outlet).run()
    } catch (error) {
      this.#fail(outlet, error)
    } finally {
      this.#open.delete(open)
    }
  }

  /** Ends all streams. */
  endAll(reason: StreamEndReason): void {
    for (const { outlet } of [...this.#open]) outlet.end(reason)
  }

  close(): void {
    this.#unfollow()
    this.endAll('draining')
  }

  #subscriber(request: SubscriptionRequest, start: StreamStart, outlet: StreamOutlet): Subscriber {
    const { clock, storage } = this.#deps
    const { isolation, rendering } = request
    const rendererAt = (positions: ReadPositions) =>
      new StreamRenderer(positions, rendering, this.#out)
    const streamKey = `${request.topic.id} ${start.positions.partitions} ${isolation} ${rendering}`
    const reader = new StreamReader(
      {
        clock,
        storage,
        gate: this.#gate,
        rendererAt,
        segments: this.#segments,
        streamKey,
        resolve: start.resolve,
      },
      outlet,
      start.positions,
      start.unresolved,
      isolation,
    )
    const hubFor = (positions: ReadPositions) => {
      let hub = this.#hubs.get(streamKey)
      if (hub === undefined) {
        const created = new TailHub(this.#deps, rendererAt(positions.copy()), isolation, () => {
          if (this.#hubs.get(streamKey) === created) this.#hubs.delete(streamKey)
        })
        hub = created
        this.#hubs.set(streamKey, hub)
      }
      return hub
    }
    return new Subscriber(outlet, reader, hubFor)
  }

  #fail(outlet: StreamOutlet, error: unknown): void {
    if (outlet.signal.aborted) return
    if (error instanceof ServiceError) {
      outlet.error(error, undefined)
    } else {
      this.#deps.logger.error({ err: error }, 'a stream broke')
      const unforeseen = new ServiceError('internal-error', 'the stream broke', { committed: 'no' })
      outlet.error(unforeseen, undefined)
    }
    outlet.end('error')
  }

  #onMetadata(image: MetadataImage): void {
    for (const open of [...this.#open]) this.#endIfChanged(open, image)
  }

  /** A reader of all partitions comes back with its cursor, and then reads the added ones, too. */
  #endIfChanged(open: Open, image: MetadataImage): void {
    const topic = image.topicsById.get(open.topicId)
    if (topic === undefined) open.outlet.end('deleted')
    else if (open.isWhole && topic.partitions.length !== open.partitionsAtStart) {
      open.outlet.end('renew')
    }
  }
}

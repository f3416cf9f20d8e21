/** All open streams of this front: starts them, shares their tails, and ends them when the topic changes. */
import type { TopicId } from '../core/ids.ts'
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import { Gate } from '../lib/gate.ts'
import { GenerationCache } from '../lib/generation-cache.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { MetadataImage, MetadataView, TopicImage } from '../metadata/metadata-image.ts'
import { ByteWriter } from '../wire/byte-writer.ts'
import type { Isolation, StorageService } from '../wire/internal.ts'
import type { ReadRange } from './read-start.ts'
import type { StreamEndReason, StreamOutlet } from './stream-outlet.ts'
import type { StreamRendering } from './stream-renderer.ts'
import type { StreamSourceDeps } from './stream-source.ts'
import { StreamSource } from './stream-source.ts'
import type { StreamStart } from './stream-start.ts'
import { startStream } from './stream-start.ts'
import { Subscriber } from './subscriber.ts'
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
  readonly #sourceDeps: StreamSourceDeps
  readonly #sources = new Map<string, StreamSource>()
  readonly #open = new Set<Open>()
  readonly #unfollow: () => void

  constructor(deps: SubscriptionsDeps) {
    this.#deps = deps
    this.#sourceDeps = {
      ...deps,
      gate: new Gate(READERS_AT_ONCE),
      segments: new GenerationCache<TailSegment>(SEGMENT_CACHE_BYTES),
      out: new ByteWriter(),
    }
    this.#unfollow = deps.metadata.onChange((image) => this.#onMetadata(image))
  }

  get streams(): number {
    return this.#open.size
  }

  get hubs(): number {
    let count = 0
    for (const source of this.#sources.values()) if (source.hasHub) count++
    return count
  }

  /**
   * Settles where the stream starts, so that nothing is missed that is produced afterwards.
   * @throws ServiceError for what is wrong with the request
   */
  async prepare(request: SubscriptionRequest): Promise<PreparedStream> {
    const start = await startStream(request.topic, request.range, this.#deps.storage)
    return { request, start }
  }

  /** Follows until the outlet is over, which it may be already. */
  follow({ request, start }: PreparedStream, outlet: StreamOutlet): void {
    const { topic } = request
    const isWhole = start.positions.partitions.length === topic.partitions.length
    const open = { outlet, topicId: topic.id, partitionsAtStart: topic.partitions.length, isWhole }
    const source = this.#sourceOf(request, start)
    const subscriber = new Subscriber(outlet, source, this.#fail)
    this.#open.add(open)
    source.streams++
    outlet.whenOver(() => {
      subscriber.stop()
      this.#open.delete(open)
      if (--source.streams === 0) this.#sources.delete(source.key)
    })
    this.#endIfChanged(open, this.#deps.metadata.image)
    if (!outlet.isOver) subscriber.start(start)
  }

  /** Ends all streams. */
  endAll(reason: StreamEndReason): void {
    for (const { outlet } of [...this.#open]) outlet.end(reason)
  }

  close(): void {
    this.#unfollow()
    this.endAll('draining')
  }

  #sourceOf(
    { topic, isolation, rendering }: SubscriptionRequest,
    start: StreamStart,
  ): StreamSource {
    const key = `${topic.id} ${start.positions.partitions} ${isolation} ${rendering}`
    let source = this.#sources.get(key)
    if (source === undefined) {
      source = new StreamSource(this.#sourceDeps, key, isolation, rendering)
      this.#sources.set(key, source)
    }
    return source
  }

  readonly #fail = (outlet: StreamOutlet, error: unknown): void => {
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

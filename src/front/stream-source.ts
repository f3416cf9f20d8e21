/**
 * What all streams of one (topic, partitions, isolation, rendering) have in common: the tail that
 * they share once they have caught up, and what they need to read the log until then.
 */
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import type { Gate } from '../lib/gate.ts'
import type { GenerationCache } from '../lib/generation-cache.ts'
import type { ByteWriter } from '../wire/byte-writer.ts'
import type { Isolation, StorageService } from '../wire/internal.ts'
import type { ReadPositions } from './read-positions.ts'
import type { StreamOutlet } from './stream-outlet.ts'
import type { StreamReaderDeps, UnresolvedStart } from './stream-reader.ts'
import { StreamReader } from './stream-reader.ts'
import type { StreamRendering } from './stream-renderer.ts'
import { StreamRenderer } from './stream-renderer.ts'
import { TailHub } from './tail-hub.ts'
import type { TailSegment } from './tail-ring.ts'

export interface StreamSourceDeps {
  readonly clock: Clock
  readonly storage: StorageService
  readonly logger: Logger
  /** Bounds how many readers of the front hold what they have fetched. */
  readonly gate: Gate
  readonly segments: GenerationCache<TailSegment>
  /** Scratch memory of all renderers. */
  readonly out: ByteWriter
}

export class StreamSource {
  readonly key: string
  /** Streams that use it. */
  streams = 0
  readonly #deps: StreamSourceDeps
  readonly #isolation: Isolation
  readonly #readerDeps: StreamReaderDeps
  #hub: TailHub | undefined

  constructor(
    deps: StreamSourceDeps,
    key: string,
    isolation: Isolation,
    rendering: StreamRendering,
  ) {
    this.key = key
    this.#deps = deps
    this.#isolation = isolation
    this.#readerDeps = {
      ...deps,
      isolation,
      rendererAt: (positions) => new StreamRenderer(positions, rendering, deps.out),
      shared: { segments: deps.segments, streamKey: key },
    }
  }

  get hasHub(): boolean {
    return this.#hub !== undefined
  }

  /** The shared tail; one that begins at `positions` is made if there is none. */
  hub(positions: ReadPositions): TailHub {
    if (this.#hub !== undefined) return this.#hub
    const renderer = this.#readerDeps.rendererAt(positions.copy())
    const created = new TailHub(this.#deps, renderer, this.#isolation, () => {
      if (this.#hub === created) this.#hub = undefined
    })
    this.#hub = created
    return created
  }

  /** Reads for one stream until `signal` aborts. It moves `positions`. */
  reader(
    outlet: StreamOutlet,
    signal: AbortSignal,
    positions: ReadPositions,
    unresolved?: UnresolvedStart,
  ): StreamReader {
    return new StreamReader(this.#readerDeps, outlet, signal, positions, unresolved)
  }
}

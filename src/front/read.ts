/** One bounded read over the partitions of a topic: fetches, chooses, and waits for the first record if asked to. */
import type { Clock } from '../env/clock.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { MetadataView, TopicImage } from '../metadata/metadata-image.ts'
import type { Fetched, FetchResult, Isolation, Refusal, StorageService } from '../wire/internal.ts'
import { KnownPages } from './known-pages.ts'
import type { PageFormat, PageRenderer } from './page-renderer.ts'
import { ParkedReads } from './parked-reads.ts'
import type { PageTerms, ReadPage, ReadTiming } from './read-page.ts'
import type { ReadPositions } from './read-positions.ts'
import type { Selection } from './read-selection.ts'
import { selectRecords } from './read-selection.ts'
import type { ReadRange } from './read-start.ts'
import { parseStart, resolveStart } from './read-start.ts'
import { refusalError } from './refusal.ts'

export interface ReadRequest {
  readonly topic: TopicImage
  readonly range: ReadRange
  /** Records. */
  readonly limit: number
  /** Of stored batches; the first batch comes whole, whatever its size. */
  readonly maxBytes: number
  /** How long to wait for the first record. */
  readonly waitMs: number
  readonly isolation: Isolation
  readonly format: PageFormat
}

/** Takes the answer to a read, at once; with where the time went if the page was made for this read alone. */
export type ServePage = (page: ReadPage, timing?: ReadTiming) => void

export interface ReaderDeps {
  readonly clock: Clock
  readonly storage: StorageService
  readonly metadata: MetadataView
  readonly renderer: PageRenderer
}

export interface ReaderOptions {
  /** Reads that may wait at once. */
  readonly parkedReads: number
  /** Of pages that are kept as long as the same read gives them again. */
  readonly knownPageBytes: number
}

interface PageMaking {
  readonly isFull: boolean
  readonly terms: PageTerms | undefined
  /** When the read began, and when it had its records; monotonic. */
  readonly startMs: number
  readonly fetchedMs: number
}

export class Reader {
  readonly #deps: ReaderDeps
  readonly #parked: ParkedReads<ReadPage>
  readonly #known: KnownPages
  readonly #unfollow: () => void
  #turn = 0

  constructor(deps: ReaderDeps, options: ReaderOptions) {
    this.#deps = deps
    this.#parked = new ParkedReads(deps.clock, options.parkedReads)
    this.#known = new KnownPages(deps, options.knownPageBytes)
    this.#unfollow = deps.metadata.onChange(({ topicsById }) => {
      const gone = new ServiceError('topic-not-found', 'the topic was deleted')
      this.#parked.failTopics((topicId) => !topicsById.has(topicId), gone)
    })
  }

  /** Reads that wait for records. */
  get parked(): number {
    return this.#parked.size
  }

  /**
   * Gives the page to `serve` and resolves: readers that waited for the same are served one right
   * behind the other.
   * @throws ServiceError; rejects with the signal's reason on abort
   */
  async read(request: ReadRequest, signal: AbortSignal, serve: ServePage): Promise<void> {
    const start = parseStart(request.topic, request.range)
    const positions = await resolveStart(start, this.#deps.storage)
    const key = keyOf(request, positions)
    // Where others wait, there is nothing yet.
    const joined = request.waitMs > 0 ? this.#parked.parkingAt(key) : undefined
    if (joined !== undefined) {
      await this.#parked.wait(joined, request.waitMs, signal, serve)
      return
    }
    const known = this.#known.find(key)
    const page = known ?? (await this.#attempt(request, positions, 0, signal))
    if (page.records > 0 || request.waitMs === 0) {
      serve(page, known === undefined ? page.timing : undefined)
      return
    }
    const parking = {
      key,
      topicId: request.topic.id,
      attempt: (waitMs: number, stop: AbortSignal) =>
        this.#attempt(request, page.after, waitMs, stop),
      empty: page,
    }
    await this.#parked.wait(parking, request.waitMs, signal, serve)
  }

  /** Whether a read that said its positions itself would be given this page again. */
  isCurrent(page: ReadPage): boolean {
    return this.#known.isCurrent(page)
  }

  /** Answers all waiting reads at once, with what they have: nothing. */
  drain(): void {
    this.#parked.drain()
  }

  close(): void {
    this.#unfollow()
    this.drain()
  }

  async #attempt(
    request: ReadRequest,
    start: ReadPositions,
    waitMs: number,
    signal: AbortSignal,
  ): Promise<ReadPage> {
    const { clock, storage } = this.#deps
    const startMs = clock.monotonicMs()
    const untilMs = startMs + waitMs
    const positions = start.copy()
    const leaderEpoch = this.#leaderEpoch(start)
    for (let leftMs = waitMs; ; leftMs = untilMs - clock.monotonicMs()) {
      const results = await storage.fetch(
        {
          positions: positions.fetchPositions(this.#turn++),
          maxBytes: request.maxBytes,
          waitMs: Math.max(0, leftMs),
          isolation: request.isolation,
        },
        signal,
      )
      const fetched = fetchedOf(results, request.topic, positions)
      const selection = selectRecords(fetched, () => positions, request.limit)
      // What was read may be nothing for readers; then the wait goes on behind it.
      const isMoved = selection.records === 0 && fetched.length > 0
      if (isMoved && (leftMs > 0 || waitMs === 0)) continue
      const page = this.#page(request, start, positions, selection, {
        isFull: isFull(fetched, positions),
        terms: isForGood(request.topic)
          ? termsOf(fetched, start, positions, leaderEpoch)
          : undefined,
        startMs,
        fetchedMs: clock.monotonicMs(),
      })
      // The page is rendered.
      for (const { release } of fetched) release?.()
      this.#known.keep(keyOf(request, start), page)
      return page
    }
  }

  /** -1 for reads of many partitions, too. */
  #leaderEpoch({ topic, partitions }: ReadPositions): number {
    const [only] = partitions
    return only === undefined || partitions.length > 1 ? -1 : this.#known.leaderEpoch(topic, only)
  }

  #page(
    { topic, format }: ReadRequest,
    start: ReadPositions,
    after: ReadPositions,
    { slices, records }: Selection,
    { isFull, terms, startMs, fetchedMs }: PageMaking,
  ): ReadPage {
    const { renderer, clock } = this.#deps
    const cursor = after.cursor()
    const range = `${start.offsetsText()}.${cursor}`
    const tag = isForGood(topic) && isFull && records > 0 ? `"${format}.${range}"` : undefined
    const body =
      isForGood(topic) && terms === undefined
        ? renderer.cached(range, topic, slices, cursor, format)
        : renderer.render(topic, slices, cursor, format)
    const timing = {
      storageMs: fetchedMs - startMs,
      renderMs: clock.monotonicMs() - fetchedMs,
    }
    return { records, after, cursor, tag, terms, body, timing }
  }
}

/**
 * Whether what lies between two offsets stays as it is. Compaction takes records out; a page from before would
 * bring back a key whose tombstone, on a later page, is gone already.
 */
function isForGood({ config }: TopicImage): boolean {
  return config.cleanup === 'delete'
}

/** Names a read completely, but for how long it waits. */
function keyOf(request: ReadRequest, start: ReadPositions): string {
  const { limit, maxBytes, isolation, format } = request
  return `${format} ${limit} ${maxBytes} ${isolation} ${start.text()}`
}

/** @throws ServiceError for a position that is gone, and for failures if nothing else was found */
function fetchedOf(
  results: readonly FetchResult[],
  topic: TopicImage,
  positions: ReadPositions,
): Fetched[] {
  const fetched: Fetched[] = []
  let failure: (Refusal & { readonly partition: number }) | undefined
  for (const result of results) {
    if (result.ok) fetched.push(result)
    else if (failure === undefined || isPositionGone(result)) failure = result
  }
  if (failure !== undefined && (fetched.length === 0 || isPositionGone(failure))) {
    throw refusalError(failure, topic, failure.partition, positions)
  }
  return fetched
}

function isPositionGone({ code }: Refusal): boolean {
  return code === 'cursor-expired' || code === 'offset-out-of-range'
}

/** Whether more follows what was read, and nothing else competes for the room in the answer. */
function isFull(fetched: readonly Fetched[], after: ReadPositions): boolean {
  const [only] = fetched
  if (only === undefined || after.partitions.length !== 1) return false
  return after.offsetOf(only.partition) < only.highWatermark
}

/** Undefined if there is nothing to keep, or partitions compete for the room in the answer. */
function termsOf(
  fetched: readonly Fetched[],
  start: ReadPositions,
  after: ReadPositions,
  leaderEpoch: number,
): PageTerms | undefined {
  const [only] = fetched
  if (only === undefined || leaderEpoch === -1) return undefined
  const { partition, highWatermark } = only
  return {
    topic: start.topic,
    partition,
    offset: start.offsetOf(partition),
    leaderEpoch,
    highWatermark: isFull(fetched, after) ? undefined : highWatermark,
  }
}

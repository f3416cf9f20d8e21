/**
 * The shared tail of one (topic, partitions, rendering, isolation): one fetch loop that merges the
 * partitions once, and a ring of framed segments from which every member pulls at its own pace.
 */
import { LIMITS } from '../core/limits.ts'
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { FetchResult, Isolation, StorageService } from '../wire/internal.ts'
import type { ReadPositions } from './read-positions.ts'
import type { StreamRenderer } from './stream-renderer.ts'
import type { TailPiece } from './tail-ring.ts'
import { TailRing } from './tail-ring.ts'

export interface TailMember {
  /** There may be new segments. */
  pump(): void
  /** There will be no more: the member goes on by itself. */
  hubEnded(): void
}

export interface TailHubDeps {
  readonly clock: Clock
  readonly storage: StorageService
  readonly logger: Logger
}

/** Bytes of batches that one fetch of the loop asks for. */
const FETCH_BYTES = 1024 * 1024
const FETCH_WAIT_MS = 30_000
/** Members served in one turn of the event loop; a write costs some 10 us. */
const MEMBERS_PER_TURN = 256

export class TailHub {
  readonly #deps: TailHubDeps
  readonly #renderer: StreamRenderer
  readonly #isolation: Isolation
  readonly #onEnd: () => void
  readonly #ring = new TailRing(LIMITS.tailHubRingBytes)
  readonly #members = new Set<TailMember>()
  /** The members, to walk along; made anew when they have changed. */
  #roll: readonly TailMember[] | undefined
  readonly #stop = new AbortController()
  #place: ReadPositions | undefined
  #turn = 0
  #isDelivering: boolean = false
  #hasMore: boolean = false

  /** The first member is at the positions of `renderer`; `onEnd` is called once, before the members know. */
  constructor(
    deps: TailHubDeps,
    renderer: StreamRenderer,
    isolation: Isolation,
    onEnd: () => void,
  ) {
    this.#deps = deps
    this.#renderer = renderer
    this.#isolation = isolation
    this.#onEnd = onEnd
  }

  get hasEnded(): boolean {
    return this.#stop.signal.aborted
  }

  get members(): number {
    return this.#members.size
  }

  /** Number of the next segment: a member that is at `positions` goes on with it. */
  get end(): number {
    return this.#ring.end
  }

  get first(): number {
    return this.#ring.first
  }

  /** Where the loop stands; they move. */
  get positions(): ReadPositions {
    return this.#renderer.positions
  }

  /** Where the loop stands now, not to be moved: shared by all who ask until it goes on. */
  get place(): ReadPositions {
    this.#place ??= this.positions.copy()
    return this.#place
  }

  /** What a member that is at segment `number` writes next; undefined if it has fallen out. */
  piece(number: number): TailPiece | undefined {
    return this.#ring.piece(number)
  }

  attach(member: TailMember): void {
    this.#members.add(member)
    this.#roll = undefined
    if (this.#members.size === 1) this.#start()
  }

  /** The hub ends with its last member. */
  detach(member: TailMember): void {
    if (!this.#members.delete(member)) return
    this.#roll = undefined
    if (this.#members.size === 0) this.#end()
  }

  #start(): void {
    this.#run().then(
      () => this.#end(),
      (error: unknown) => {
        if (!this.hasEnded && !(error instanceof ServiceError)) {
          this.#deps.logger.error({ err: error }, 'the shared tail of a topic broke')
        }
        this.#end()
      },
    )
  }

  /** Ends when a partition cannot be followed: what to do about it differs from member to member. */
  async #run(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      const results = await this.#deps.storage.fetch(
        {
          positions: this.positions.fetchPositions(this.#turn++),
          maxBytes: FETCH_BYTES,
          waitMs: FETCH_WAIT_MS,
          isolation: this.#isolation,
        },
        signal,
      )
      if (!this.#take(results)) return
      // Lets what arrives meanwhile gather, and others have their turn.
      await new Promise<void>((resolve) => this.#deps.clock.immediate(resolve))
    }
  }

  #take(results: readonly FetchResult[]): boolean {
    for (const result of results) if (!result.ok) return false
    this.#place = undefined
    for (const result of results) if (result.ok) this.#renderer.load(result)
    let segment = this.#renderer.next()
    for (; segment !== undefined; segment = this.#renderer.next()) this.#ring.push(segment)
    if (results.length > 0) this.#deliver()
    return true
  }

  #deliver(): void {
    this.#hasMore = true
    if (!this.#isDelivering) this.#deliverRound()
  }

  #deliverRound(): void {
    this.#hasMore = false
    this.#roll ??= [...this.#members]
    this.#deliverTo(this.#roll, 0)
  }

  /**
   * Serves members in slices; a segment that comes meanwhile goes along, and starts another round.
   * One that has left since is told, too, and has nothing to do.
   */
  #deliverTo(members: readonly TailMember[], from: number): void {
    const to = Math.min(members.length, from + MEMBERS_PER_TURN)
    for (let i = from; i < to; i++) members[i]?.pump()
    const isLast = to === members.length
    this.#isDelivering = !isLast || this.#hasMore
    if (!this.#isDelivering) return
    this.#deps.clock.immediate(() => {
      if (isLast) this.#deliverRound()
      else this.#deliverTo(members, to)
    })
  }

  #end(): void {
    if (this.hasEnded) return
    this.#stop.abort(new ServiceError('draining', 'the shared tail has ended'))
    this.#onEnd()
    const members = [...this.#members]
    this.#members.clear()
    this.#roll = undefined
    for (const member of members) member.hubEnded()
  }
}

/** The work of one term of office as the controller: elect whoever has to be elected, until it ends. */
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import type { Counter } from '../env/metrics.ts'
import type { AwaitableMetadataView } from '../metadata/metadata-image.ts'
import { CONTROLLER_KEY } from '../metadata/metadata-keys.ts'
import type { Compare, MetadataStore } from '../metadata/metadata-store.ts'
import type { PartitionChange } from '../metadata/partition-writes.ts'
import { writePartitions } from '../metadata/partition-writes.ts'
import { waitForChange } from '../metadata/wait-for-change.ts'
import { ElectionStory } from './election-story.ts'
import { ElectionSurvey } from './election-survey.ts'

export interface ControllerTermDeps {
  readonly store: MetadataStore
  readonly metadata: AwaitableMetadataView
  readonly clock: Clock
  readonly logger: Logger
  readonly elections: Counter
}

export interface ControllerTermOptions {
  /** Changes that come within so long are looked at together. */
  readonly gatherMs: number
  /** Pause after a failure; doubled with each further one, up to `maxRetryMs`. */
  readonly retryMs: number
  readonly maxRetryMs: number
}

export class ControllerTerm {
  readonly #deps: ControllerTermDeps
  readonly #options: ControllerTermOptions
  readonly #story: ElectionStory
  readonly #survey = new ElectionSurvey()
  readonly epoch: number
  /** Rounds in a row in which something was not written, and those of them in which others were faster. */
  #failures = 0
  #conflicts = 0

  constructor(epoch: number, deps: ControllerTermDeps, options: ControllerTermOptions) {
    this.epoch = epoch
    this.#deps = deps
    this.#options = options
    this.#story = new ElectionStory(deps.logger)
  }

  get offlinePartitions(): number {
    return this.#survey.offline.size
  }

  /** What makes a transaction fail that is written by one who is the controller no longer. */
  get authority(): readonly Compare[] {
    return [{ key: CONTROLLER_KEY, target: 'createRevision', equals: this.epoch }]
  }

  /** Resolves when the image shows that the term is over; rejects with the signal's reason on abort. */
  async serve(signal: AbortSignal): Promise<void> {
    const { metadata, clock } = this.#deps
    while (metadata.image.controller?.epoch === this.epoch) {
      const { image } = metadata
      this.#story.saw(image)
      const changes = this.#survey.look(image)
      if (changes.length > 0) {
        this.#story.begin(clock.monotonicMs())
        await this.#elect(changes, signal)
        if (this.#failures > 0) await this.#pause(image.version, signal)
      } else {
        this.#failures = this.#conflicts = 0
        this.#story.end(clock.monotonicMs(), this.#survey.offline)
        await metadata.waitForVersion(image.version + 1, signal)
        await clock.sleep(this.#options.gatherMs, signal)
      }
    }
  }

  async #elect(changes: readonly PartitionChange[], signal: AbortSignal): Promise<void> {
    const { written, refused, revision, error } = await writePartitions(
      this.#deps.store,
      changes,
      { authority: this.authority, conflicts: this.#conflicts },
      signal,
    )
    const elected = written.filter(({ leaderIncarnation }) => leaderIncarnation !== undefined)
    const leaderless = written.filter(({ next }) => next.leader === -1)
    this.#story.wrote(elected.length, leaderless.length)
    this.#deps.elections.increment(elected.length)
    if (refused.length === 0) this.#failures = this.#conflicts = 0
    else {
      this.#failures++
      if (error === undefined) this.#conflicts++
      this.#story.failed(refused.length, error)
    }
    // Else the next look would see, and ask for, what is done already.
    await this.#deps.metadata.waitForVersion(revision, signal)
  }

  /** Until there is news, or for a while that grows with the failures. */
  async #pause(version: number, signal: AbortSignal): Promise<void> {
    const { retryMs, maxRetryMs, gatherMs } = this.#options
    const pauseMs = Math.min(retryMs * 2 ** Math.min(this.#failures - 1, 20), maxRetryMs)
    await waitForChange(this.#deps, version, pauseMs, signal)
    await this.#deps.clock.sleep(gatherMs, signal)
  }
}

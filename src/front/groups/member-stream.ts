/**
 * One stream of a member: records of the partitions that it owns, as long as it owns them. Follows what
 * the coordinator says, and gives up partitions for a member that has no other voice.
 */

import type { GroupId } from '../../core/group-settings.ts'
import { isBehind } from '../../core/log-position.ts'
import type { Clock } from '../../env/clock.ts'
import { ERRORS, ServiceError } from '../../lib/service-error.ts'
import type { MetadataView } from '../../metadata/metadata-image.ts'
import type { Cursor } from '../../wire/cursor.ts'
import type { GroupService, MemberView } from '../../wire/groups.ts'
import { retryFrame } from '../../wire/sse.ts'
import { streamChunk } from '../../wire/stream-chunk.ts'
import type { StreamOutlet } from '../stream-outlet.ts'
import type { GroupMembers } from './group-members.ts'
import { memberAnswer } from './member-answer.ts'
import type { MemberFeedsDeps } from './member-feeds.ts'
import { MemberFeeds } from './member-feeds.ts'
import { MemberPositions } from './member-positions.ts'

/**
 * `before`: what is sent is committed first. `reconnect`: the place of the reader is committed when it
 * connects again. `none`: the reader commits by itself.
 */
export type StreamCommit = 'before' | 'reconnect' | 'none'

export interface MemberStreamDeps extends MemberFeedsDeps {
  readonly clock: Clock
  readonly metadata: MetadataView
  readonly service: GroupService
  readonly members: GroupMembers
}

const AWAIT_MS = 30_000
const RETRY_MS = 1_000
/** A reader that is sent away to commit is to be back soon. */
const REBALANCE_RETRY_MS = 100
/** How long a reader that commits by itself has for what it was sent of partitions that it loses. */
const GRACE_MS = 10_000
/** How often is looked, meanwhile, whether it has. */
const LOOK_MS = 1_000

export class MemberStream {
  readonly #deps: MemberStreamDeps
  readonly #groupId: GroupId
  readonly #commit: StreamCommit
  readonly #outlet: StreamOutlet
  readonly #stop = new AbortController()
  readonly #feeds: MemberFeeds
  #view: MemberView
  #toldVersion: number | undefined
  /** By when partitions are given up that the reader may still commit. */
  #releaseAtMs = Number.POSITIVE_INFINITY

  constructor(
    deps: MemberStreamDeps,
    options: {
      readonly groupId: GroupId
      readonly commit: StreamCommit
      readonly rendering: 'record' | 'value'
    },
    view: MemberView,
    outlet: StreamOutlet,
  ) {
    this.#deps = deps
    this.#groupId = options.groupId
    this.#commit = options.commit
    this.#outlet = outlet
    this.#view = view
    this.#feeds = new MemberFeeds(deps, options, outlet)
  }

  /** Resolves when the stream is over; rejects with what it broke of. */
  async run(start: MemberPositions): Promise<void> {
    this.#outlet.whenOver(() => this.#end())
    let positions = start
    let view = this.#view
    try {
      while (!this.#outlet.isOver) {
        this.#view = view
        this.#tell(view, positions)
        this.#feeds.start(view, positions)
        view = await this.#next()
        const cursor = this.#feeds.stop()
        view = await this.#settled(view, cursor)
        positions = this.#positions(view, cursor)
      }
    } catch (error) {
      if (this.#stop.signal.aborted) return
      throw error
    } finally {
      this.#feeds.stop()
    }
  }

  #end(): void {
    this.#stop.abort(new ServiceError('draining', 'the stream is over'))
    this.#feeds.stop()
  }

  #tell(view: MemberView, positions: MemberPositions): void {
    if (view.version === this.#toldVersion) return
    this.#toldVersion = view.version
    this.#outlet.event('assignment', memberAnswer(view), positions.cursor())
  }

  #positions(view: MemberView, cursor: Cursor): MemberPositions {
    // A place that was to be committed, and may not have been, is none to go on from.
    const known = this.#commit === 'before' ? undefined : cursor
    return MemberPositions.of(this.#deps.metadata.image, view, known)
  }

  /** The view once it is another one, or something else asks for a look. */
  async #next(): Promise<MemberView> {
    const { service, members, clock } = this.#deps
    const { signal } = this.#stop
    const place = { groupId: this.#groupId, memberId: this.#view.memberId }
    for (;;) {
      const { memberEpoch, version } = this.#view
      const looking = { ...place, memberEpoch }
      const isReleasing = this.#releaseAtMs !== Number.POSITIVE_INFINITY
      const waitMs = isReleasing ? LOOK_MS : AWAIT_MS
      const turn = new AbortController()
      const until = AbortSignal.any([signal, turn.signal])
      try {
        const change = service.awaitChange({ ...looking, version, waitMs }, until)
        const trouble = this.#feeds.trouble(until)
        const view = await Promise.race([change, trouble])
        // A commit was refused: what is committed, and who owns what, is other than was known.
        if (view === undefined) return await members.view(looking, signal)
        if (view.version !== version || isReleasing) {
          return await members.resolved(place, view, signal)
        }
      } catch (error) {
        if (signal.aborted || !isPassing(error)) throw error
        await clock.sleep(RETRY_MS, signal)
      } finally {
        turn.abort(new ServiceError('draining', 'nobody waits here any more'))
      }
    }
  }

  /** The view after partitions were given up that nothing, or nobody any more, holds. */
  async #settled(view: MemberView, cursor: Cursor): Promise<MemberView> {
    const { clock, members } = this.#deps
    if (view.revoking.length === 0) {
      this.#releaseAtMs = Number.POSITIVE_INFINITY
      return view
    }
    const isDelivered = this.#commit !== 'before' && hasUncommitted(view, cursor)
    if (isDelivered && this.#commit === 'reconnect') {
      this.#outlet.write([streamChunk([retryFrame(REBALANCE_RETRY_MS)])])
      this.#outlet.end('rebalance')
      return view
    }
    if (isDelivered && this.#releaseAtMs === Number.POSITIVE_INFINITY) {
      const graceMs = Math.min(GRACE_MS, view.rebalanceTimeoutMs / 2)
      this.#releaseAtMs = clock.monotonicMs() + graceMs
    }
    if (isDelivered && clock.monotonicMs() < this.#releaseAtMs) return view
    this.#releaseAtMs = Number.POSITIVE_INFINITY
    return await members.release(this.#groupId, view, this.#stop.signal)
  }
}

/** Whether something was sent of what is to be given up that is not committed. */
function hasUncommitted({ revoking }: MemberView, { topics }: Cursor): boolean {
  return revoking.some(({ topicId, partition, committed }) => {
    const topic = topics.find((one) => one.topicId === topicId)
    const position = topic?.positions.find((one) => one.partition === partition)
    if (position === undefined) return false
    return isBehind(committed, { offset: position.offset, leaderEpoch: position.lastEpoch })
  })
}

function isPassing(error: unknown): boolean {
  return error instanceof ServiceError && ERRORS[error.code].retryable
}

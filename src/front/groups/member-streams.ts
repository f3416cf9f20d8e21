/** All open streams of members: how each begins, also for a reader that has not joined before, and ends. */
import type { GroupId, MemberId } from '../../core/group-settings.ts'
import { MEMBER_DEFAULTS } from '../../core/group-settings.ts'
import type { Logger } from '../../env/logger.ts'
import type { Random } from '../../env/random.ts'
import type { ErrorEntry } from '../../lib/service-error.ts'
import { ERRORS, ServiceError } from '../../lib/service-error.ts'
import type { Cursor } from '../../wire/cursor.ts'
import type { JoinGroup, MemberView } from '../../wire/groups.ts'
import type { StreamEndReason, StreamOutlet } from '../stream-outlet.ts'
import type { StreamRendering } from '../stream-renderer.ts'
import type { GroupOffsets } from './group-offsets.ts'
import { MemberPositions } from './member-positions.ts'
import type { MemberStreamDeps, StreamCommit } from './member-stream.ts'
import { MemberStream } from './member-stream.ts'

export interface MemberStreamRequest {
  readonly groupId: GroupId
  readonly memberId: MemberId
  readonly memberEpoch: number
  readonly cursor: Cursor | undefined
  readonly commit: StreamCommit
  readonly rendering: StreamRendering
}

export interface GroupStreamRequest
  extends Omit<MemberStreamRequest, 'memberId' | 'memberEpoch'>,
    Pick<JoinGroup, 'subscription' | 'from'> {
  /** A new one if undefined. */
  readonly memberId: MemberId | undefined
}

export interface MemberStreamsDeps extends MemberStreamDeps {
  readonly offsets: GroupOffsets
  readonly logger: Logger
  readonly random: Random
}

/** A stream whose member is there; nothing was sent yet. */
export interface PreparedMemberStream {
  readonly request: Pick<MemberStreamRequest, 'groupId' | 'commit' | 'rendering'>
  readonly view: MemberView
  readonly start: MemberPositions
}

/**
 * Of a member that says nothing between two connects, which are a life time, some 72 s at most, and a
 * retry apart.
 */
const SILENT_SESSION_MS = 90_000

export class MemberStreams {
  readonly #deps: MemberStreamsDeps
  readonly #open = new Set<StreamOutlet>()

  constructor(deps: MemberStreamsDeps) {
    this.#deps = deps
  }

  get streams(): number {
    return this.#open.size
  }

  /** @throws ServiceError `member-fenced`, `member-not-found`, `bad-cursor`, … */
  async prepare(request: MemberStreamRequest, signal: AbortSignal): Promise<PreparedMemberStream> {
    const { groupId, memberId, memberEpoch, cursor } = request
    await this.#commitPlace(request, signal)
    const known = cursor?.member?.memberId === memberId ? cursor.member.memberEpoch : 0
    const place = { groupId, memberId, memberEpoch: Math.max(memberEpoch, known) }
    const view = await this.#deps.members.view({ ...place, renew: true }, signal)
    return await this.#prepared(request, view, signal)
  }

  /**
   * Makes the member if there is none, else goes on as the one that the reader was.
   * @throws ServiceError as a join
   */
  async prepareJoined(
    request: GroupStreamRequest,
    signal: AbortSignal,
  ): Promise<PreparedMemberStream> {
    const { groupId, subscription, from } = request
    const memberId = request.memberId ?? this.#newId()
    await this.#commitPlace(request, signal).catch((error: unknown) => {
      if (!hasToJoin(error)) throw error
    })
    const { rebalanceTimeoutMs } = MEMBER_DEFAULTS
    const view = await this.#deps.members.join(
      {
        groupId,
        memberId,
        subscription,
        from,
        sessionTimeoutMs: SILENT_SESSION_MS,
        rebalanceTimeoutMs,
      },
      signal,
    )
    return await this.#prepared(request, view, signal)
  }

  /** Follows until the outlet is over, which it may be already. */
  follow({ request, view, start }: PreparedMemberStream, outlet: StreamOutlet): void {
    this.#open.add(outlet)
    const stream = new MemberStream(this.#deps, request, view, outlet)
    stream
      .run(start)
      .catch((error: unknown) => this.#fail(outlet, error))
      .finally(() => this.#open.delete(outlet))
  }

  endAll(reason: StreamEndReason): void {
    for (const outlet of [...this.#open]) outlet.end(reason)
  }

  /** What the reader has got was processed: it has come back for more. */
  async #commitPlace(
    { groupId, cursor, commit }: GroupStreamRequest | MemberStreamRequest,
    signal: AbortSignal,
  ): Promise<void> {
    if (commit !== 'reconnect' || cursor?.member === undefined) return
    // Of partitions that it lost meanwhile others say how far they are.
    await this.#deps.offsets.commitCursor({ groupId }, cursor, signal)
  }

  async #prepared(
    request: GroupStreamRequest | MemberStreamRequest,
    joined: MemberView,
    signal: AbortSignal,
  ): Promise<PreparedMemberStream> {
    const { groupId, cursor, commit } = request
    const { members, metadata } = this.#deps
    const isToGiveUp = commit !== 'none' && joined.revoking.length > 0
    const view = isToGiveUp ? await members.release(groupId, joined, signal) : joined
    const place = commit === 'before' ? undefined : cursor
    return { request, view, start: MemberPositions.of(metadata.image, view, place) }
  }

  #newId(): MemberId {
    return Buffer.from(this.#deps.random.bytes(16)).toString('hex') as MemberId
  }

  #fail(outlet: StreamOutlet, error: unknown): void {
    if (outlet.isOver) return
    if (error instanceof ServiceError) {
      outlet.error(error, undefined)
      outlet.end(hasToJoin(error) ? 'fenced' : 'error')
      return
    }
    this.#deps.logger.error({ err: error }, 'the stream of a member broke')
    const unforeseen = new ServiceError('internal-error', 'the stream broke', { committed: 'no' })
    outlet.error(unforeseen, undefined)
    outlet.end('error')
  }
}

function hasToJoin(error: unknown): boolean {
  if (!(error instanceof ServiceError)) return false
  const entry: ErrorEntry = ERRORS[error.code]
  return entry.action === 'rejoin' || error.code === 'group-not-found'
}

/** Reads for members of groups: from where they stand in the partitions that they own, over all topics. */

import type { GroupId, MemberId } from '../../core/group-settings.ts'
import type { LogPosition } from '../../core/log-position.ts'
import type { Clock } from '../../env/clock.ts'
import type { ServiceError } from '../../lib/service-error.ts'
import type { MetadataView } from '../../metadata/metadata-image.ts'
import type { Cursor } from '../../wire/cursor.ts'
import type { MemberView } from '../../wire/groups.ts'
import type { Fetched, FetchResult, StorageService } from '../../wire/internal.ts'
import type { BatchSlice } from '../read-selection.ts'
import { selectRecords } from '../read-selection.ts'
import { refusalError } from '../refusal.ts'
import type { GroupMembers } from './group-members.ts'
import type { GroupWaits } from './group-waits.ts'
import { MemberPositions } from './member-positions.ts'

export interface GroupReadRequest {
  readonly groupId: GroupId
  readonly memberId: MemberId
  readonly memberEpoch: number
  readonly cursor: Cursor | undefined
  readonly limit: number
  readonly maxBytes: number
  readonly waitMs: number
}

/** What was found for a member, not yet rendered. */
export interface GroupSelection {
  readonly view: MemberView
  readonly start: MemberPositions
  /** Behind the records. */
  readonly after: MemberPositions
  readonly slices: readonly BatchSlice[]
  readonly records: number
}

export interface GroupReaderDeps {
  readonly clock: Clock
  readonly storage: Pick<StorageService, 'fetch'>
  readonly metadata: MetadataView
  readonly members: GroupMembers
  readonly waits: GroupWaits
}

interface Round {
  readonly view: MemberView
  readonly start: MemberPositions
  /** What was fetched from there. */
  readonly results: readonly FetchResult[]
}

/** How long nodes are asked to wait at once; then they are asked again. */
const ROUND_MS = 30_000

const REVOKING_WAIT_MS = 1_000

export class GroupReader {
  readonly #deps: GroupReaderDeps

  constructor(deps: GroupReaderDeps) {
    this.#deps = deps
  }

  /**
   * Changes nothing, and is no sign of life.
   * @throws ServiceError `member-fenced`, `member-not-found`, `bad-cursor`, `cursor-expired`, …
   */
  async read(request: GroupReadRequest, signal: AbortSignal): Promise<GroupSelection> {
    const { groupId, memberId, memberEpoch } = request
    const ahead = this.#fetchAhead(request, signal)
    const view = await this.#deps.members.view({ groupId, memberId, memberEpoch }, signal)
    const start = MemberPositions.of(this.#deps.metadata.image, view, request.cursor)
    return await this.readFor(request, { view, start, results: inStep(await ahead, start) }, signal)
  }

  /** The same for a view that was had just now. */
  async readFor(
    request: GroupReadRequest,
    first: Round,
    signal: AbortSignal,
  ): Promise<GroupSelection> {
    const { clock, waits } = this.#deps
    let { view, start, results } = first
    // Others wait for what the member is to give up, and it may not know of that yet.
    const patienceMs = view.revoking.length === 0 ? request.waitMs : REVOKING_WAIT_MS
    const untilMs = clock.monotonicMs() + Math.min(request.waitMs, patienceMs)
    if (results.length === 0) results = await this.#fetch(request, start, signal)
    for (;;) {
      const selection = select(request, { view, start, results })
      const waitMs = untilMs - clock.monotonicMs()
      const isMoved = selection.records === 0 && results.length > 0
      if (isMoved) {
        // What was read is nothing for readers.
        start = selection.after
        results = await this.#fetch(request, start, signal)
        continue
      }
      if (selection.records > 0 || waitMs <= 0 || waits.isDraining) return selection
      const roundMs = Math.min(Math.ceil(waitMs), ROUND_MS)
      const news = await waits.first(this.#wait(request, view, start, roundMs), signal)
      results = news.results ?? []
      if (news.view !== undefined) {
        // Whoever holds other partitions now should know at once.
        view = await this.#deps.members.resolved(request, news.view, signal)
        start = MemberPositions.of(this.#deps.metadata.image, view, start.cursorOf())
        results = await this.#fetch(request, start, signal)
        return select(request, { view, start, results })
      }
    }
  }

  #wait(request: GroupReadRequest, view: MemberView, start: MemberPositions, waitMs: number) {
    const { groupId, memberId, maxBytes } = request
    const { memberEpoch, version } = view
    return {
      fetch: { positions: start.fetchPositions(), maxBytes },
      change: { groupId, memberId, memberEpoch, version },
      waitMs,
    }
  }

  async #fetch(
    { maxBytes }: GroupReadRequest,
    start: MemberPositions,
    signal: AbortSignal,
  ): Promise<readonly FetchResult[]> {
    if (start.isEmpty) return []
    const request = {
      positions: start.fetchPositions(),
      maxBytes,
      waitMs: 0,
      isolation: 'committed' as const,
    }
    return await this.#deps.storage.fetch(request, signal)
  }

  /**
   * While the coordinator is asked whether the member still owns what its cursor names: what a
   * partition holds does not depend on the answer.
   */
  async #fetchAhead(request: GroupReadRequest, signal: AbortSignal): Promise<AheadResults> {
    const { cursor, memberId, memberEpoch } = request
    if (cursor?.member?.memberId !== memberId || cursor.member.memberEpoch !== memberEpoch) {
      return NOTHING_AHEAD
    }
    const { image } = this.#deps.metadata
    const start = MemberPositions.ofCursor(image, cursor)
    try {
      return { start, results: await this.#fetch(request, start, signal) }
    } catch {
      return NOTHING_AHEAD
    }
  }
}

interface AheadResults {
  readonly start: MemberPositions | undefined
  readonly results: readonly FetchResult[]
}

const NOTHING_AHEAD: AheadResults = { start: undefined, results: [] }

/** Those that begin where the member, as is known by now, stands. */
function inStep({ start: ahead, results }: AheadResults, start: MemberPositions): FetchResult[] {
  return results.filter(({ topicId, partition }) => {
    if (ahead === undefined || !start.has(topicId, partition)) return false
    const from = start.in(topicId)
    const fetchedFrom = ahead.in(topicId)
    return (
      from.offsetOf(partition) === fetchedFrom.offsetOf(partition) &&
      from.epochOf(partition) === fetchedFrom.epochOf(partition)
    )
  })
}

/** @throws ServiceError for a position that is gone, and for failures if nothing else was found */
function select({ limit }: GroupReadRequest, { view, start, results }: Round): GroupSelection {
  const fetched = fetchedOf(results, start)
  const after = start.copy()
  const selection = selectRecords(fetched, (topicId) => after.in(topicId), limit)
  return { view, start, after, ...selection }
}

function fetchedOf(results: readonly FetchResult[], start: MemberPositions): Fetched[] {
  const fetched: Fetched[] = []
  let failure: ServiceError | undefined
  for (const result of results) {
    if (result.ok) {
      fetched.push(result)
      continue
    }
    const { topicId, partition, code } = result
    const { topic } = start.in(topicId)
    const cursorAt = (at: number, place: LogPosition) => start.cursorAt(topicId, at, place)
    const error = refusalError(result, topic, partition, { cursorAt })
    if (code === 'cursor-expired' || code === 'offset-out-of-range') throw error
    // Of a topic that is gone the coordinator hears soon.
    if (code !== 'topic-not-found') failure ??= error
  }
  if (failure !== undefined && fetched.length === 0) throw failure
  return fetched
}

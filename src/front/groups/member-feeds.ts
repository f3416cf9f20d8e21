/** Sends the records of a member's partitions, a reader for each topic, until the member owns other ones. */
import type { GroupId } from '../../core/group-settings.ts'
import type { LogPosition } from '../../core/log-position.ts'
import { isBehind } from '../../core/log-position.ts'
import type { Clock } from '../../env/clock.ts'
import type { Gate } from '../../lib/gate.ts'
import type { ErrorEntry } from '../../lib/service-error.ts'
import { ERRORS, ServiceError } from '../../lib/service-error.ts'
import type { ByteWriter } from '../../wire/byte-writer.ts'
import type { Cursor } from '../../wire/cursor.ts'
import { CursorWriter } from '../../wire/cursor-writer.ts'
import type { GroupService, MemberView } from '../../wire/groups.ts'
import type { PartitionPlace, StorageService } from '../../wire/internal.ts'
import type { ReadPositions } from '../read-positions.ts'
import type { StreamOutlet } from '../stream-outlet.ts'
import { StreamReader } from '../stream-reader.ts'
import type { StreamRendering } from '../stream-renderer.ts'
import { StreamRenderer } from '../stream-renderer.ts'
import type { TailSegment } from '../tail-ring.ts'
import type { MemberPositions } from './member-positions.ts'
import type { StreamCommit } from './member-stream.ts'

export interface MemberFeedsDeps {
  readonly clock: Clock
  readonly storage: StorageService
  readonly service: Pick<GroupService, 'commit'>
  /** Bounds how many readers of the front hold what they have fetched. */
  readonly gate: Gate
  /** Scratch memory of all renderers. */
  readonly out: ByteWriter
}

const WAIT_MS = 30_000
const NOWHERE: LogPosition = { offset: 0, leaderEpoch: -1 }

/** What runs between two assignments. */
interface Run {
  readonly stop: AbortController
  readonly readers: readonly StreamReader[]
}

export class MemberFeeds {
  readonly #deps: MemberFeedsDeps
  readonly #groupId: GroupId
  readonly #commit: StreamCommit
  readonly #rendering: StreamRendering
  readonly #outlet: StreamOutlet
  /** What is committed, as far as is known here, by partition. */
  readonly #committed = new Map<string, LogPosition>()
  #run: Run | undefined
  #cursor: Cursor = { topics: [] }
  #troubled = Promise.withResolvers<undefined>()

  constructor(
    deps: MemberFeedsDeps,
    options: {
      readonly groupId: GroupId
      readonly commit: StreamCommit
      readonly rendering: StreamRendering
    },
    outlet: StreamOutlet,
  ) {
    this.#deps = deps
    this.#groupId = options.groupId
    this.#commit = options.commit
    this.#rendering = options.rendering
    this.#outlet = outlet
  }

  start(view: MemberView, start: MemberPositions): void {
    const stop = new AbortController()
    this.#cursor = start.cursorOf()
    for (const { topicId, partition, committed } of view.assigned) {
      this.#committed.set(keyOf({ topicId, partition }), committed)
    }
    const ids = new CursorWriter(this.#cursor)
    const outlet = this.#feedOutlet()
    const readers = start.topics.map((topic) =>
      this.#reader(view, ids, outlet, stop.signal, topic.copy()),
    )
    this.#troubled = Promise.withResolvers<undefined>()
    this.#run = { stop, readers }
    for (const reader of readers) this.#feed(reader, stop.signal)
  }

  /** Nothing is sent any more; where all that was sent leads to. */
  stop(): Cursor {
    const run = this.#run
    if (run === undefined) return this.#cursor
    this.#run = undefined
    run.stop.abort(new ServiceError('draining', 'the member owns other partitions'))
    const { topics, ...rest } = this.#cursor
    const moved = new Map(run.readers.map(({ positions }) => [positions.topic.id, positions]))
    this.#cursor = {
      ...rest,
      topics: topics.map((topic) => {
        const read = moved.get(topic.topicId)
        if (read === undefined) return topic
        const positions = topic.positions.map((position) => {
          const { partition } = position
          if (!read.partitions.includes(partition)) return position
          return { partition, lastEpoch: read.epochOf(partition), offset: read.offsetOf(partition) }
        })
        return { ...topic, positions }
      }),
    }
    return this.#cursor
  }

  /** Resolves when a commit was refused; rejects when reading broke, and with the signal's reason. */
  async trouble(signal: AbortSignal): Promise<undefined> {
    const aborted = Promise.withResolvers<never>()
    const abort = () => aborted.reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    try {
      return await Promise.race([this.#troubled.promise, aborted.promise])
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  #feed(reader: StreamReader, signal: AbortSignal): void {
    const { resolve, reject, promise } = this.#troubled
    promise.catch(() => undefined)
    const run = async () => {
      while (!signal.aborted) if ((await reader.step(WAIT_MS)) === 'over') return
    }
    run().catch((error: unknown) => {
      if (signal.aborted) return
      if (error instanceof ServiceError && isOfCommit(error)) resolve(undefined)
      else reject(error)
    })
  }

  #reader(
    view: MemberView,
    ids: CursorWriter,
    outlet: StreamOutlet,
    signal: AbortSignal,
    topic: ReadPositions,
  ): StreamReader {
    const { clock, storage, gate, out } = this.#deps
    const cursor = ids.of(topic.topic.id)
    const rendererAt = (positions: ReadPositions) => {
      for (const { partition, lastEpoch, offset } of positions.cursorPositions()) {
        cursor.set(partition, lastEpoch, offset)
      }
      return new StreamRenderer(positions, this.#rendering, out, cursor)
    }
    const admit = (segment: TailSegment) => this.#admit(view, segment, signal)
    return new StreamReader(
      {
        clock,
        storage,
        gate,
        rendererAt,
        isolation: 'committed',
        ...(this.#commit === 'before' && { admit }),
      },
      outlet,
      signal,
      topic,
    )
  }

  /** Commits where the segment leads to, in place of what is known to be committed: only then it is sent. */
  async #admit(view: MemberView, { after }: TailSegment, signal: AbortSignal): Promise<void> {
    const topicId = after.topic.id
    const offsets = after.partitions.flatMap((partition) => {
      const place = after.placeOf(partition)
      const committed = this.#committed.get(keyOf({ topicId, partition })) ?? NOWHERE
      if (!isBehind(committed, place)) return []
      return [{ topicId, partition, ...place, expectedOffset: committed.offset }]
    })
    if (offsets.length === 0) return
    const { memberId, memberEpoch } = view
    const command = { groupId: this.#groupId, memberId, memberEpoch, offsets }
    const outcomes = await this.#deps.service.commit(command, signal)
    for (const outcome of outcomes) {
      if (!outcome.ok) throw new ServiceError(outcome.code, outcome.detail)
    }
    for (const offset of offsets) this.#committed.set(keyOf(offset), offset)
  }

  /** A topic that is gone ends no stream: the coordinator takes its partitions away. */
  #feedOutlet(): StreamOutlet {
    const outlet = this.#outlet
    return {
      get isOver() {
        return outlet.isOver
      },
      get isFull() {
        return outlet.isFull
      },
      whenOver: (run) => outlet.whenOver(run),
      write: (chunks) => outlet.write(chunks),
      whenDrained: (run) => outlet.whenDrained(run),
      event: (name, data, cursor) => outlet.event(name, data, cursor),
      error: (error, cursor) => outlet.error(error, cursor),
      end: (reason) => {
        if (reason !== 'deleted') outlet.end(reason)
      },
    }
  }
}

/** Whether somebody else has the partition, or has had it; or a look is worth the while for another reason. */
function isOfCommit({ code }: ServiceError): boolean {
  const entry: ErrorEntry = ERRORS[code]
  return code === 'partition-not-owned' || entry.retryable || entry.action === 'rejoin'
}

function keyOf({ topicId, partition }: PartitionPlace): string {
  return `${topicId} ${partition}`
}

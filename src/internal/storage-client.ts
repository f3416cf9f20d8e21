/** The calls of fronts and storage nodes towards one storage node, with their types. */
import type { TopicId } from '../core/ids.ts'
import type { ErrorCode } from '../lib/service-error.ts'
import { ServiceError } from '../lib/service-error.ts'
import { decodeFetchAnswer, encodeFetchRequest } from '../wire/fetch-codec.ts'
import type { GroupCallMessage } from '../wire/group-call-codec.ts'
import type {
  Appended,
  AppendRequest,
  FetchRequest,
  FetchResult,
  OffsetQuery,
  PartitionOffsets,
  PartitionPlace,
  Refusal,
  ReplicaLog,
} from '../wire/internal.ts'
import { MalformedMessage } from '../wire/message.ts'
import type { ReplicaFetchReply, ReplicaFetchRequest } from '../wire/replica-fetch.ts'
import { decodeReplicaAnswer, encodeReplicaFetch } from '../wire/replica-fetch-codec.ts'
import type { ResolvedOffset } from '../wire/storage-control.ts'
import {
  decodeLogStart,
  decodeMoved,
  decodeOffsets,
  decodeOffsetsOf,
  decodeReplicaLogs,
  decodeResolvedOffset,
  encodeControl,
} from '../wire/storage-control.ts'
import { AppendExchange } from './append-exchange.ts'
import type { GroupCallResults } from './group-exchange.ts'
import { GroupExchange } from './group-exchange.ts'
import type { CallTarget } from './identity.ts'
import { InternalCallError } from './internal-call-error.ts'
import type { CallOptions, InternalClient } from './internal-client.ts'
import { PATHS } from './paths.ts'

/** How long a call may take; `deadlineMs` is on this process's monotonic clock. */
export type WaitOptions = Pick<CallOptions, 'deadlineMs' | 'signal'>

export interface AppendCalls {
  /** One for each request, in order; they never reject. */
  readonly results: readonly Promise<Appended | Refusal>[]
  /** Resolves when a later call to this node will come behind this one, or this one has failed. */
  readonly admitted: Promise<void>
}

/**
 * Reads throw ServiceError as the node answered it, and `partition-unavailable` with an
 * InternalCallError for its cause where the node cannot be asked.
 */
export class StorageClient {
  readonly #client: InternalClient
  readonly #gone: AbortSignal | undefined
  /** The callers of most calls share a signal: what joins it with `#gone` is kept. */
  #joined: { readonly caller: AbortSignal; readonly signal: AbortSignal } | undefined
  readonly target: CallTarget

  /** `gone` aborts when nothing more is to be expected of this node: all calls end then. */
  constructor(client: InternalClient, target: CallTarget, gone?: AbortSignal) {
    this.#client = client
    this.target = target
    this.#gone = gone
  }

  /**
   * A connection that breaks after sending leaves `outcome-unknown`; a call that was certainly not
   * taken is `partition-unavailable` with committed `no`.
   */
  append(requests: readonly AppendRequest[], options: WaitOptions): AppendCalls {
    const exchange = new AppendExchange(requests.length)
    void exchange.run(this.#client, this.target, requests, this.#whileThere(options))
    return exchange
  }

  /** The deadline must leave room for `waitMs` and the way. */
  fetch(request: FetchRequest, options: WaitOptions): Promise<FetchResult[]> {
    const body = encodeFetchRequest(request)
    return this.#ask(PATHS.fetch, body, { lane: 'fetch', ...options }, decodeFetchAnswer)
  }

  /** The deadline must leave room for `waitMs` and the way. */
  replicaFetch(request: ReplicaFetchRequest, options: WaitOptions): Promise<ReplicaFetchReply> {
    const body = encodeReplicaFetch(request)
    return this.#ask(PATHS.replicaFetch, body, { lane: 'fetch', ...options }, decodeReplicaAnswer)
  }

  offsets(topicId: TopicId, partition: number, options: WaitOptions): Promise<PartitionOffsets> {
    return this.#control(PATHS.offsets, { topicId, partition }, options, decodeOffsets)
  }

  /** One for each, in order; undefined for those that the node does not lead. */
  offsetsOf(
    places: readonly PartitionPlace[],
    options: WaitOptions,
  ): Promise<(PartitionOffsets | undefined)[]> {
    // Whoever asks may know more of a place than has to travel.
    const bare = places.map(({ topicId, partition }) => ({ topicId, partition }))
    return this.#control(PATHS.offsetsOf, { places: bare }, options, (body) =>
      decodeOffsetsOf(body, places.length),
    )
  }

  resolveOffset(
    topicId: TopicId,
    partition: number,
    at: OffsetQuery,
    options: WaitOptions,
  ): Promise<ResolvedOffset> {
    const call = { topicId, partition, at }
    return this.#control(PATHS.resolveOffset, call, options, decodeResolvedOffset)
  }

  /** One for each, in order; undefined for those that the node does not hold. */
  replicaLogs(
    places: readonly PartitionPlace[],
    options: WaitOptions,
  ): Promise<(ReplicaLog | undefined)[]> {
    return this.#control(PATHS.replicaLogs, { places }, options, (body) =>
      decodeReplicaLogs(body, places.length),
    )
  }

  /** Asks the leader to make the preferred one the leader; whether it did. */
  handBack(topicId: TopicId, partition: number, options: WaitOptions): Promise<boolean> {
    return this.#control(PATHS.handBack, { topicId, partition }, options, decodeMoved)
  }

  /** @throws ServiceError `outcome-unknown` when the records may be gone */
  deleteRecords(
    topicId: TopicId,
    partition: number,
    before: number,
    options: WaitOptions,
  ): Promise<{ logStartOffset: number }> {
    const call = { topicId, partition, before }
    return this.#control(PATHS.deleteRecords, call, options, decodeLogStart, 'outcome-unknown')
  }

  /** As the coordinator of groups that it is. A call that cannot be repeated may end as `outcome-unknown`. */
  groupCalls(
    messages: readonly GroupCallMessage[],
    options: WaitOptions & { readonly isParked: boolean },
  ): GroupCallResults {
    const exchange = new GroupExchange(messages)
    const { isParked, ...wait } = options
    const lane = isParked ? 'fetch' : 'control'
    void exchange.run(this.#client, this.target, { lane, ...this.#whileThere(wait) })
    return exchange
  }

  #control<T>(
    path: string,
    call: Parameters<typeof encodeControl>[0],
    options: WaitOptions,
    decode: (body: Uint8Array) => T,
    unsure?: ErrorCode,
  ): Promise<T> {
    const lane = 'control'
    return this.#ask(path, [encodeControl(call)], { lane, ...options }, decode, unsure)
  }

  /** `unsure` is the code for a call that may have been carried out. */
  async #ask<T>(
    path: string,
    body: readonly Uint8Array[],
    options: CallOptions,
    decode: (body: Uint8Array) => T,
    unsure: ErrorCode = 'partition-unavailable',
  ): Promise<T> {
    try {
      const call = this.#client.callWhole(this.target, path, body, this.#whileThere(options))
      return decode(await call)
    } catch (error) {
      throw asServiceError(error, unsure)
    }
  }

  #whileThere<T extends WaitOptions>(options: T): T {
    if (this.#gone === undefined) return options
    const { signal: caller } = options
    if (this.#joined?.caller !== caller) {
      this.#joined = { caller, signal: AbortSignal.any([caller, this.#gone]) }
    }
    return { ...options, signal: this.#joined.signal }
  }
}

function asServiceError(error: unknown, unsure: ErrorCode): unknown {
  if (error instanceof MalformedMessage) {
    const cause = new InternalCallError('broken', error.message, {
      definitelyNotDone: false,
      cause: error,
    })
    return asServiceError(cause, unsure)
  }
  if (!(error instanceof InternalCallError)) return error
  const code = error.definitelyNotDone ? 'partition-unavailable' : unsure
  return new ServiceError(code, `the node did not answer: ${error.message}`, { cause: error })
}

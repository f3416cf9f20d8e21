/** The log of a coordinator as a partition that this node leads, used like any other partition. */
import type { TopicId } from '../core/ids.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { Appended, Refusal, StorageService } from '../wire/internal.ts'
import type { CoordinatorLog } from './coordinator-log.ts'

export interface CoordinatorStorage extends StorageService {
  /** A partition that this node hosts; `isCertain`: it leads it, and nobody else can by now. */
  find(topicId: TopicId, partition: number): { readonly isCertain: boolean } | undefined
}

export interface StorageLogDeps {
  /** Of this node. */
  readonly storage: CoordinatorStorage
}

export interface LedPartition {
  readonly topicId: TopicId
  readonly partition: number
  /** Under which this node leads it. */
  readonly leaderEpoch: number
}

const LOAD_BYTES = 1024 * 1024
const WAIT_MS = 500
const NEVER = new AbortController().signal

export class StorageLog implements CoordinatorLog {
  readonly #deps: StorageLogDeps
  readonly #at: LedPartition

  constructor(deps: StorageLogDeps, at: LedPartition) {
    this.#deps = deps
    this.#at = at
  }

  get isCertain(): boolean {
    const { topicId, partition } = this.#at
    return this.#deps.storage.find(topicId, partition)?.isCertain === true
  }

  async *load(signal: AbortSignal): AsyncGenerator<Uint8Array, number, undefined> {
    const { storage } = this.#deps
    const { topicId, partition } = this.#at
    let { logStartOffset: offset } = await storage.offsets(topicId, partition)
    for (;;) {
      signal.throwIfAborted()
      const { logEndOffset } = await storage.offsets(topicId, partition)
      if (offset >= logEndOffset) return offset
      const positions = [{ topicId, partition, offset, lastEpoch: -1 }]
      const request = { positions, maxBytes: LOAD_BYTES, waitMs: WAIT_MS } as const
      const [result] = await storage.fetch({ ...request, isolation: 'uncommitted' }, signal)
      if (result === undefined) continue
      if (!result.ok) throw new ServiceError(result.code, result.detail)
      yield* result.batches
      offset = result.nextOffset
    }
  }

  append(batch: Uint8Array, expectedOffset: number): Promise<Appended | Refusal> {
    const request = { ...this.#at, acks: -1, expectedOffset, batch } as const
    const [result] = this.#deps.storage.append([request], NEVER)
    return result as Promise<Appended | Refusal>
  }
}

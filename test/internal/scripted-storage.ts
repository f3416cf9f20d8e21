/** A storage service whose every answer the test gives itself. */
import type {
  Appended,
  AppendRequest,
  FetchRequest,
  FetchResult,
  PartitionOffsets,
  PartitionPlace,
  Refusal,
  StorageService,
} from '../../src/wire/internal.ts'

export interface ScriptedAppend {
  readonly requests: readonly AppendRequest[]
  readonly signal: AbortSignal
  readonly admitted: () => void
  /** One for each request. */
  readonly settle: ((result: Appended | Refusal) => void)[]
}

export interface ScriptedFetch {
  readonly request: FetchRequest
  readonly signal: AbortSignal
  readonly answer: (results: FetchResult[]) => void
  readonly fail: (error: unknown) => void
}

export class ScriptedStorage implements StorageService {
  readonly appends = new Arrivals<ScriptedAppend>()
  readonly fetches = new Arrivals<ScriptedFetch>()
  readonly calls: unknown[] = []
  offsetsAnswer: PartitionOffsets | Error = new Error('no offsets')
  resolveAnswer: { offset: number; lastEpoch: number } | Error = new Error('no offset')
  deleteAnswer: { logStartOffset: number } | Error = new Error('no deletion')

  append(
    requests: readonly AppendRequest[],
    signal: AbortSignal,
    admitted: () => void = () => undefined,
  ): Promise<Appended | Refusal>[] {
    const settle: ScriptedAppend['settle'] = []
    const results = requests.map(() => {
      const { promise, resolve } = Promise.withResolvers<Appended | Refusal>()
      settle.push(resolve)
      return promise
    })
    this.appends.push({ requests, signal, admitted, settle })
    return results
  }

  fetch(request: FetchRequest, signal: AbortSignal): Promise<FetchResult[]> {
    const { promise, resolve, reject } = Promise.withResolvers<FetchResult[]>()
    this.fetches.push({ request, signal, answer: resolve, fail: reject })
    return promise
  }

  async offsets(...call: unknown[]): Promise<PartitionOffsets> {
    return this.#answer(call, this.offsetsAnswer)
  }

  async offsetsOf(places: readonly PartitionPlace[]): Promise<(PartitionOffsets | undefined)[]> {
    this.calls.push(places)
    const { offsetsAnswer } = this
    return places.map(({ partition }) =>
      offsetsAnswer instanceof Error || partition % 2 === 1
        ? undefined
        : { ...offsetsAnswer, logStartOffset: partition },
    )
  }

  offsetsNow(): undefined {
    return undefined
  }

  async resolveOffset(...call: unknown[]): Promise<{ offset: number; lastEpoch: number }> {
    return this.#answer(call, this.resolveAnswer)
  }

  async deleteRecords(...call: unknown[]): Promise<{ logStartOffset: number }> {
    return this.#answer(call, this.deleteAnswer)
  }

  #answer<T>(call: unknown[], answer: T | Error): T {
    this.calls.push(call)
    if (answer instanceof Error) throw answer
    return answer
  }
}

/** Calls in the order in which they came, each to be taken once. */
export class Arrivals<T> {
  readonly #arrived: T[] = []
  readonly #waiting: ((item: T) => void)[] = []

  push(item: T): void {
    const waiting = this.#waiting.shift()
    if (waiting === undefined) this.#arrived.push(item)
    else waiting(item)
  }

  next(): Promise<T> {
    const item = this.#arrived.shift()
    if (item !== undefined) return Promise.resolve(item)
    return new Promise((resolve) => this.#waiting.push(resolve))
  }
}

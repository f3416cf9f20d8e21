/**
 * The way from this front to one storage node: what arrives while a call is on its way there becomes
 * the next one. A call counts as on its way until the node has given all of it an offset; that some
 * partition takes long to commit holds up nobody else.
 */
import type { Clock } from '../env/clock.ts'
import type { AppendCalls, WaitOptions } from '../internal/storage-client.ts'
import type { Appended, AppendRequest, Refusal } from '../wire/internal.ts'

export interface LinkedAppend {
  readonly request: AppendRequest
  /** On the monotonic clock. */
  readonly deadlineMs: number
  readonly settle: (result: Appended | Refusal) => void
}

export interface AppendLinkDeps {
  readonly clock: Clock
  /** Ends all calls. */
  readonly signal: AbortSignal
  readonly append: (requests: readonly AppendRequest[], options: WaitOptions) => AppendCalls
}

const ON_THE_WAY_MAX = 2
const CALL_BYTES_MAX = 8 * 1024 * 1024

export class AppendLink {
  readonly #deps: AppendLinkDeps
  #waiting: LinkedAppend[] = []
  #onTheWay = 0
  #isDue: boolean = false

  constructor(deps: AppendLinkDeps) {
    this.#deps = deps
  }

  send(append: LinkedAppend): void {
    this.#waiting.push(append)
    if (this.#isDue || this.#onTheWay >= ON_THE_WAY_MAX) return
    this.#isDue = true
    // All that one turn brings for this node goes in one call.
    queueMicrotask(() => {
      this.#isDue = false
      this.#pump()
    })
  }

  #pump(): void {
    while (this.#waiting.length > 0 && this.#onTheWay < ON_THE_WAY_MAX) this.#call(this.#take())
  }

  #call(appends: readonly LinkedAppend[]): void {
    const { append, signal } = this.#deps
    const deadlineMs = Math.max(...appends.map((linked) => linked.deadlineMs))
    const requests = appends.map(({ request }) => request)
    this.#onTheWay++
    const { results, admitted } = append(requests, { deadlineMs, signal })
    for (const [i, { settle }] of appends.entries()) void results[i]?.then(settle)
    void admitted.then(() => {
      this.#onTheWay--
      this.#pump()
    })
  }

  /** As many as one call should carry, in order of arrival. */
  #take(): LinkedAppend[] {
    let bytes = 0
    let count = 0
    for (const { request } of this.#waiting) {
      bytes += request.batch.length
      if (count > 0 && bytes > CALL_BYTES_MAX) break
      count++
    }
    const taken = this.#waiting.slice(0, count)
    this.#waiting = this.#waiting.slice(count)
    return taken
  }
}

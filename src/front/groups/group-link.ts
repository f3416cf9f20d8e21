/**
 * The way from this front to the coordinators of one node: what one turn brings goes in one call. What
 * arrives for a coordinator, which is one of a partition, while it owes this front an answer goes with
 * the next call, as it commits what comes together at once. That one takes long holds up nobody else.
 */
import type { StorageClient } from '../../internal/storage-client.ts'
import { unlessAborted } from '../../lib/unless-aborted.ts'
import type { GroupCallMessage } from '../../wire/group-call-codec.ts'
import type { GroupReply } from '../../wire/group-calls.ts'

interface Linked {
  readonly message: GroupCallMessage
  /** On the monotonic clock. */
  readonly deadlineMs: number
  readonly signal: AbortSignal
  readonly resolve: (reply: GroupReply) => void
  readonly reject: (error: unknown) => void
}

const MESSAGES_MAX = 256
const NEVER = new AbortController().signal

export class GroupLink {
  readonly #client: Pick<StorageClient, 'groupCalls'>
  #waiting: Linked[] = []
  /** By partition: messages without an answer, all of one call. */
  readonly #unanswered = new Map<number, number>()
  #isDue: boolean = false

  constructor(client: Pick<StorageClient, 'groupCalls'>) {
    this.#client = client
  }

  /** The signal ends the waiting; not the call, once it is on its way. */
  send(message: GroupCallMessage, deadlineMs: number, signal: AbortSignal): Promise<GroupReply> {
    const { promise, resolve, reject } = Promise.withResolvers<GroupReply>()
    this.#waiting.push({ message, deadlineMs, signal, resolve, reject })
    if (!this.#unanswered.has(message.partition)) this.#schedule()
    return unlessAborted(promise, signal)
  }

  #schedule(): void {
    if (this.#isDue) return
    this.#isDue = true
    queueMicrotask(() => {
      this.#isDue = false
      const ready = this.#takeReady()
      if (ready.length > 0) this.#call(ready)
    })
  }

  #takeReady(): Linked[] {
    const ready: Linked[] = []
    const others: Linked[] = []
    for (const linked of this.#waiting) {
      // Who gave it up may have said something else since.
      if (linked.signal.aborted) continue
      const isReady = ready.length < MESSAGES_MAX && !this.#unanswered.has(linked.message.partition)
      if (isReady) ready.push(linked)
      else others.push(linked)
    }
    this.#waiting = others
    return ready
  }

  #call(calls: readonly Linked[]): void {
    const { results } = this.#client.groupCalls(
      calls.map(({ message }) => message),
      {
        deadlineMs: Math.max(...calls.map((linked) => linked.deadlineMs)),
        signal: NEVER,
        isParked: false,
      },
    )
    for (const [i, { message, resolve, reject }] of calls.entries()) {
      const { partition } = message
      this.#unanswered.set(partition, (this.#unanswered.get(partition) ?? 0) + 1)
      results[i]?.then(
        (reply) => {
          this.#answered(partition)
          resolve(reply)
        },
        (error: unknown) => {
          this.#answered(partition)
          reject(error)
        },
      )
    }
    // More than one call carries.
    if (this.#waiting.length > 0) this.#schedule()
  }

  #answered(partition: number): void {
    const left = (this.#unanswered.get(partition) as number) - 1
    if (left > 0) {
      this.#unanswered.set(partition, left)
      return
    }
    this.#unanswered.delete(partition)
    if (this.#waiting.length > 0) this.#schedule()
  }
}

/**
 * The way from this front to the coordinators of one node: what arrives while calls are on their way
 * there goes with the next ones. That one takes long to answer holds up nobody else.
 */
import type { StorageClient } from '../../internal/storage-client.ts'
import { unlessAborted } from '../../lib/unless-aborted.ts'
import type { GroupCallMessage } from '../../wire/group-call-codec.ts'
import type { GroupReply } from '../../wire/group-calls.ts'

interface Linked {
  readonly message: GroupCallMessage
  /** On the monotonic clock. */
  readonly deadlineMs: number
  readonly resolve: (reply: Promise<GroupReply>) => void
}

const ON_THE_WAY_MAX = 2
const CALLS_MAX = 256
const NEVER = new AbortController().signal

export class GroupLink {
  readonly #client: Pick<StorageClient, 'groupCalls'>
  #waiting: Linked[] = []
  #onTheWay = 0
  #isDue: boolean = false

  constructor(client: Pick<StorageClient, 'groupCalls'>) {
    this.#client = client
  }

  /** The signal ends the waiting, not the call. */
  send(message: GroupCallMessage, deadlineMs: number, signal: AbortSignal): Promise<GroupReply> {
    const { promise, resolve } = Promise.withResolvers<GroupReply>()
    this.#waiting.push({ message, deadlineMs, resolve })
    if (!this.#isDue && this.#onTheWay < ON_THE_WAY_MAX) {
      this.#isDue = true
      // All that one turn brings for this node goes in one call.
      queueMicrotask(() => {
        this.#isDue = false
        this.#pump()
      })
    }
    return unlessAborted(promise, signal)
  }

  #pump(): void {
    while (this.#waiting.length > 0 && this.#onTheWay < ON_THE_WAY_MAX) {
      const calls = this.#waiting.slice(0, CALLS_MAX)
      this.#waiting = this.#waiting.slice(CALLS_MAX)
      const { results, taken } = this.#client.groupCalls(
        calls.map(({ message }) => message),
        {
          deadlineMs: Math.max(...calls.map((linked) => linked.deadlineMs)),
          signal: NEVER,
          isParked: false,
        },
      )
      for (const [i, { resolve }] of calls.entries()) resolve(results[i] as Promise<GroupReply>)
      this.#onTheWay++
      void taken.then(() => {
        this.#onTheWay--
        this.#pump()
      })
    }
  }
}

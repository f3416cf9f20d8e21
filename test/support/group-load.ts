/** Members of a group at work, through whichever front, with what each of them was given. */
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { EventStream } from './event-stream.ts'
import { eventually } from './eventually.ts'
import type { StoredRecord } from './history-checker.ts'
import type { Answer } from './http-client.ts'
import { call } from './http-client.ts'
import type { SeededRandom } from './seeded-random.ts'

export interface GroupLoadOptions {
  readonly urls: () => readonly string[]
  readonly group: string
  readonly topic: string
  /**
   * `after`: what was processed is committed by the next poll. `before`: what is delivered. `reconnect`:
   * members follow streams, and commit by coming back.
   */
  readonly commit: 'after' | 'before' | 'reconnect'
  readonly random: SeededRandom
}

interface Page {
  readonly records: readonly StoredRecord[]
  readonly cursor: string
  readonly memberEpoch: number
}

const SESSION_MS = 6_000
const LIMIT = 20

interface Running {
  readonly memberId: string
  readonly stop: AbortController
  readonly done: Promise<void>
}

export class GroupLoad {
  /** How often each record was processed, by `partition/offset`. */
  readonly processed = new Map<string, number>()
  /** Answers other than success, by their code. */
  readonly refusals = new Map<string, number>()
  readonly #options: GroupLoadOptions
  readonly #members: Running[] = []
  /** Of members that were killed: who follows streams is started again under its name. */
  readonly #freeIds: string[] = []

  constructor(options: GroupLoadOptions) {
    this.#options = options
  }

  get members(): number {
    return this.#members.length
  }

  join(count = 1): void {
    for (let i = 0; i < count; i++) {
      const stop = new AbortController()
      const isFollower = this.#options.commit === 'reconnect'
      const memberId = (isFollower ? this.#freeIds.pop() : undefined) ?? randomUUID()
      const work = isFollower
        ? this.#follow(memberId, stop.signal)
        : this.#work(memberId, stop.signal)
      this.#members.push({ memberId, stop, done: work })
    }
  }

  /** One dies, without a word, with whatever it was about to do. */
  async kill(): Promise<void> {
    const [victim] = this.#members.splice(this.#options.random.between(0, this.#members.length), 1)
    victim?.stop.abort()
    await victim?.done
    if (victim !== undefined) this.#freeIds.push(victim.memberId)
  }

  async stop(): Promise<void> {
    for (const { stop } of this.#members) stop.abort()
    await Promise.all(this.#members.splice(0).map(({ done }) => done))
  }

  /** Resolves when so many more records were processed. */
  async progress(records: number, when: string): Promise<void> {
    const wanted = this.processed.size + records
    const what = `${this.#options.group} has processed ${records} more, ${when}`
    await eventually(what, () => (this.processed.size >= wanted ? true : undefined), 60_000)
  }

  /** Places of which the group was given nothing. */
  missed(records: readonly StoredRecord[]): string[] {
    return records.map(placeOf).filter((place) => !this.processed.has(place))
  }

  /** Places that were processed more than once. */
  get repeated(): string[] {
    return [...this.processed].filter(([, times]) => times > 1).map(([place]) => place)
  }

  /** As a browser does: comes back with the last id that it has seen, until it is killed. */
  async #follow(memberId: string, signal: AbortSignal): Promise<void> {
    const { urls, group, topic, random } = this.#options
    const path = `/v1/groups/${group}/stream?topics=${topic}&member=${memberId}`
    let lastEventId = ''
    while (!signal.aborted) {
      const headers = lastEventId === '' ? {} : { 'last-event-id': lastEventId }
      const url = random.pick([...urls()])
      const stream = await EventStream.open(url, path, { headers, deadlineMs: 100_000 }).catch(
        () => undefined,
      )
      const close = () => void stream?.close()
      signal.addEventListener('abort', close, { once: true })
      try {
        for (;;) {
          const event = stream?.status === 200 ? await stream.next() : undefined
          if (event === undefined || signal.aborted) break
          lastEventId = event.id
          if (event.event === 'message') this.#process(JSON.parse(event.data) as StoredRecord)
        }
      } catch {
        // The front is gone.
      }
      signal.removeEventListener('abort', close)
      await stream?.close()
      await delay(50)
    }
  }

  async #work(memberId: string, signal: AbortSignal): Promise<void> {
    const { topic, commit } = this.#options
    let memberEpoch: number | undefined
    let cursor: string | undefined
    while (!signal.aborted) {
      if (memberEpoch === undefined) {
        const timeouts = { sessionTimeoutMs: SESSION_MS, rebalanceTimeoutMs: SESSION_MS }
        const joined = await this.#post(
          '/members',
          { memberId, topics: [topic], ...timeouts },
          signal,
        )
        if (joined !== undefined) memberEpoch = joined.json<Page>().memberEpoch
        cursor = undefined
        continue
      }
      const place = cursor === undefined ? {} : { cursor, commit: cursor }
      const rest = { memberEpoch, limit: LIMIT, wait: 2 }
      const body = commit === 'before' ? { ...rest, commit } : { ...rest, ...place }
      const answer = await this.#post(`/members/${memberId}/poll`, body, signal)
      if (answer === undefined) continue
      if (answer.status !== 200) {
        memberEpoch = undefined
        continue
      }
      const page = answer.json<Page>()
      for (const record of page.records) this.#process(record)
      ;({ memberEpoch, cursor } = page)
    }
  }

  #process(record: StoredRecord): void {
    const place = placeOf(record)
    this.processed.set(place, (this.processed.get(place) ?? 0) + 1)
  }

  /** At any front; undefined when that is to be tried again. An answer other than success asks to join again. */
  async #post(path: string, body: object, signal: AbortSignal): Promise<Answer | undefined> {
    const { urls, group, random } = this.#options
    const url = random.pick([...urls()])
    const answer = await call(url, 'POST', `/v1/groups/${group}${path}`, {
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal,
    }).catch(() => undefined)
    // Whoever is dead does nothing with an answer.
    if (signal.aborted) return undefined
    if (answer !== undefined && answer.status < 300) return answer
    const { code = 'nothing', action } = answer?.json<{ code: string; action?: string }>() ?? {}
    this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1)
    if (answer !== undefined && action === 'rejoin') return answer
    await delay(50)
    return undefined
  }
}

function placeOf({ partition, offset }: Pick<StoredRecord, 'partition' | 'offset'>): string {
  return `${partition}/${offset}`
}

/**
 * Clients of a cluster: writers and readers at every front that go on at another one when theirs does
 * not answer, send nothing twice, and note whatever they are told that the protocol does not promise.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { Agent } from 'undici'
import { EventStream } from './event-stream.ts'
import { eventually } from './eventually.ts'
import type { History, Outcome, Promised, StoredRecord } from './history-checker.ts'
import type { Answer } from './http-client.ts'
import { call } from './http-client.ts'
import { readTopic } from './load.ts'
import { ReaderPath } from './reader-path.ts'
import type { SeededRandom } from './seeded-random.ts'

export interface ClusterLoadOptions {
  /** Looked at anew for each call. */
  readonly urls: () => readonly string[]
  readonly topic: string
  readonly partitions: number
  readonly history: History
  readonly random: SeededRandom
  /** Of each kind, at each front. */
  readonly writers: number
  readonly readers: number
  readonly streams: number
}

interface Placed {
  readonly partition?: number
  readonly offset?: number
  readonly error?: Problem
}

interface Problem {
  readonly code: string
  readonly retryable: boolean
  readonly committed: string
  readonly detail: string
}

/** Between a refusal and the next attempt; shorter than clients are told, to ask more often. */
const PAUSE_MS = 60
const CALL_MS = 60_000
const KEYS = 40
/** What a client may meet while parts of a cluster are away. */
const PASSING: ReadonlySet<string> = new Set([
  'partition-unavailable',
  'not-enough-replicas',
  'metadata-unavailable',
  'outcome-unknown',
  'draining',
  'overloaded',
  'disk-full',
])

export class ClusterLoad {
  readonly #options: ClusterLoadOptions
  readonly #agent = new Agent({ connections: 64, pipelining: 1, allowH2: false })
  readonly #stop = new AbortController()
  readonly #finish = new AbortController()
  readonly #writers: Promise<void>[] = []
  readonly #readers: Promise<void>[] = []
  readonly #paths: ReaderPath[] = []
  readonly #complaints: string[] = []
  readonly #partitionOfKey = new Map<string, number>()
  /** How often each code was answered. */
  readonly refusals = new Map<string, number>()
  /** Why an outcome was unknown, and how often. */
  readonly doubts = new Map<string, number>()
  #acknowledged = 0
  /** Records that were acknowledged so far, by partition. */
  readonly #written = new Map<number, number>()

  constructor(options: ClusterLoadOptions) {
    this.#options = options
    for (const home of options.urls().keys()) {
      for (let i = 0; i < options.writers; i++) {
        // One of each front's writers asks for the weaker promise.
        const acks = i > 0 && i === options.writers - 1 ? '1' : 'all'
        this.#writers.push(this.#write(`f${home}w${i}`, home, acks))
      }
      for (let i = 0; i < options.readers; i++)
        this.#readers.push(this.#read(`f${home}r${i}`, home))
      for (let i = 0; i < options.streams; i++) {
        this.#readers.push(this.#follow(`f${home}s${i}`, home))
      }
    }
  }

  /** Requests that were acknowledged so far. */
  get acknowledged(): number {
    return this.#acknowledged
  }

  /** Resolves when so many more records were acknowledged in each partition. */
  async progress(count: number, what: string, deadlineMs = 40_000): Promise<void> {
    const before = new Map(this.#written)
    const lag = (): number[] =>
      Array.from({ length: this.#options.partitions }, (_, partition) => partition).filter(
        (p) => (this.#written.get(p) ?? 0) - (before.get(p) ?? 0) < count,
      )
    await eventually(
      `${what}: ${count} more records are acknowledged in each partition`,
      () => lag().length === 0 || undefined,
      deadlineMs,
    ).catch((error: unknown) => {
      throw new Error(`${what}: nothing was written to partitions ${lag().join()}`, {
        cause: error,
      })
    })
  }

  /**
   * Ends the writers, waits until every reader has everything, and gives all that contradicts what
   * clients were promised.
   */
  async anomalies(failedOver: (partition: number) => boolean): Promise<string[]> {
    const { urls, topic, history } = this.#options
    this.#stop.abort()
    await Promise.all(this.#writers)
    const finals: StoredRecord[][] = []
    for (const url of urls()) finals.push(await readTopic(url, topic))
    const final = finals[0] ?? []
    const found = finals.flatMap((records) => history.anomalies(records, { failedOver }))
    const unseen = await eventually(
      'every reader has everything',
      () => this.#paths.every((path) => path.hasAll(final)) || undefined,
      30_000,
    ).then(
      () => [],
      (error: Error) => [error.message],
    )
    this.#finish.abort()
    await Promise.all(this.#readers)
    await this.#agent.destroy()
    const misplaced = final.flatMap((record) => this.#checkKey(record))
    return [
      ...found,
      ...unseen,
      ...misplaced,
      ...this.#complaints,
      ...this.#paths.flatMap(({ faults }) => faults),
    ]
  }

  #checkKey({ value, partition }: StoredRecord): string[] {
    const key = /-(key-\d+)-/.exec(value)?.[1]
    if (key === undefined) return []
    const before = this.#partitionOfKey.get(key) ?? partition
    this.#partitionOfKey.set(key, before)
    return before === partition ? [] : [`${key} is in partitions ${before} and ${partition}`]
  }

  #url(turn: number): string {
    const urls = this.#options.urls()
    return urls[turn % urls.length] ?? ''
  }

  async #write(writer: string, home: number, acks: 'all' | '1'): Promise<void> {
    const { random, topic, history } = this.#options
    const promised: Promised = acks === 'all' ? 'for-good' : 'until-failover'
    let turn = home
    for (let batch = 0; !this.#stop.signal.aborted; batch++) {
      const key = random.float() < 0.5 ? `key-${random.between(0, KEYS)}` : undefined
      const count = random.float() < 0.5 ? 1 : random.between(2, 12)
      const values = Array.from(
        { length: count },
        (_, i) => `${writer}-${batch}-${key ?? 'none'}-${i}`,
      )
      const records = values.map((value) => (key === undefined ? { value } : { key, value }))
      const path = `/v1/topics/${topic}/records?acks=${acks}`
      const answer = await this.#call(turn, 'POST', path, JSON.stringify({ records }))
      const outcomes = this.#outcomes(writer, answer, count)
      for (const [i, outcome] of outcomes.entries()) {
        history.wrote(writer, values[i] ?? '', outcome, promised)
      }
      if (outcomes.some(({ kind }) => kind === 'written')) this.#acknowledged += 1
      else await delay(PAUSE_MS)
      if (answer === undefined) turn++
    }
  }

  #outcomes(writer: string, answer: Answer | undefined, count: number): Outcome[] {
    const all = (kind: 'unknown' | 'refused'): Outcome[] =>
      Array.from({ length: count }, () => ({ kind }))
    if (answer === undefined) return all('unknown')
    if (answer.status === 200 || answer.status === 207) {
      const { records } = answer.json<{ records: Placed[] }>()
      return records.map(({ partition, offset, error }) => {
        if (error !== undefined) return { kind: this.#judge(writer, error) }
        if (partition !== undefined && offset !== undefined) {
          this.#written.set(partition, (this.#written.get(partition) ?? 0) + 1)
          return { kind: 'written', partition, offset }
        }
        this.#complaints.push(`${writer} got neither a place nor an error: ${answer.text}`)
        return { kind: 'unknown' }
      })
    }
    return all(this.#judgeAnswer(writer, answer))
  }

  /** HAProxy answers 502 to 504 in words of its own when a front breaks off or none is up. */
  #judgeAnswer(who: string, answer: Answer): 'unknown' | 'refused' {
    if (answer.mediaType === 'application/problem+json') return this.#judge(who, answer.json())
    if (answer.status < 502 || answer.status > 504) {
      this.#complaints.push(`${who} got ${answer.status} ${answer.text}`)
    }
    return 'unknown'
  }

  #judge(who: string, problem: Problem): 'unknown' | 'refused' {
    const { code, retryable, committed } = problem
    this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1)
    if (!PASSING.has(code) || !retryable) {
      this.#complaints.push(`${who} was refused with ${JSON.stringify(problem)}`)
    }
    if (committed === 'no') return 'refused'
    const why = `${code}: ${problem.detail}`
    this.doubts.set(why, (this.doubts.get(why) ?? 0) + 1)
    return 'unknown'
  }

  /** Follows by long-polls, and goes on at another front with the cursor of the last one. */
  async #read(reader: string, home: number): Promise<void> {
    const path = this.#path(reader)
    let turn = home
    let cursor = ''
    while (!this.#finish.signal.aborted) {
      const query = `?wait=2&limit=500${cursor && `&cursor=${cursor}`}`
      const answer = await this.#call(
        turn,
        'GET',
        `/v1/topics/${this.#options.topic}/records${query}`,
      )
      if (answer?.status === 200) {
        const page = answer.json<{ records: StoredRecord[]; cursor: string }>()
        for (const record of page.records) this.#took(path, record)
        cursor = page.cursor
        continue
      }
      if (answer === undefined) turn++
      else this.#judgeAnswer(reader, answer)
      await delay(PAUSE_MS)
    }
  }

  /** Follows a stream, and goes on at another front behind the last event. */
  async #follow(reader: string, home: number): Promise<void> {
    const path = this.#path(reader)
    let lastEventId = ''
    for (let turn = home; !this.#finish.signal.aborted; turn++) {
      try {
        const stream = await EventStream.open(
          this.#url(turn),
          `/v1/topics/${this.#options.topic}/stream?from=earliest`,
          { headers: lastEventId === '' ? {} : { 'last-event-id': lastEventId } },
        )
        const close = () => void stream.close()
        this.#finish.signal.addEventListener('abort', close)
        try {
          await this.#takeEvents(reader, path, stream)
        } finally {
          lastEventId = stream.lastEventId || lastEventId
          this.#finish.signal.removeEventListener('abort', close)
          await stream.close()
        }
      } catch (error) {
        // A connection that broke; what the server says by itself is judged below.
        if (!(error instanceof Error)) throw error
      }
      await delay(PAUSE_MS)
    }
  }

  async #takeEvents(reader: string, path: ReaderPath, stream: EventStream): Promise<void> {
    if (stream.status !== 200) {
      const told: string[] = []
      await stream.until('its end', (raw) => told.push(raw) < 0).catch(() => undefined)
      const problem = /\{.*\}/s.exec(stream.raw)?.[0]
      if (problem === undefined) this.#complaints.push(`${reader} got ${stream.status}`)
      else this.#judge(reader, JSON.parse(problem) as Problem)
      return
    }
    for (;;) {
      const event = await stream.next()
      if (event === undefined) return
      if (event.event === 'message') this.#took(path, JSON.parse(event.data) as StoredRecord)
      else if (event.event === 'error') this.#judge(reader, JSON.parse(event.data) as Problem)
      else if (event.event !== 'end')
        this.#complaints.push(`${reader} got ${JSON.stringify(event)}`)
    }
  }

  #path(reader: string): ReaderPath {
    const path = new ReaderPath(reader)
    this.#paths.push(path)
    return path
  }

  #took(path: ReaderPath, record: StoredRecord): void {
    path.took(record)
    this.#options.history.read(record)
  }

  /** undefined when no whole answer came: nobody knows what became of the request. */
  async #call(
    turn: number,
    method: 'GET' | 'POST',
    path: string,
    body?: string,
  ): Promise<Answer | undefined> {
    const late = AbortSignal.timeout(CALL_MS)
    try {
      return await call(this.#url(turn), method, path, {
        agent: this.#agent,
        signal: late,
        ...(body !== undefined && { body, headers: { 'content-type': 'application/json' } }),
      })
    } catch {
      if (late.aborted) this.#complaints.push(`${method} ${path} had no answer for a minute`)
      return undefined
    }
  }
}

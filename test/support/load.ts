/** Writers and readers that work until told to stop, and put into the history what they were told. */
import { Agent } from 'undici'
import type { History, Outcome, StoredRecord } from './history-checker.ts'
import type { Answer } from './http-client.ts'
import { call } from './http-client.ts'
import type { SeededRandom } from './seeded-random.ts'

export interface LoadOptions {
  readonly baseUrl: string
  readonly topics: readonly string[]
  readonly writers: number
  readonly readers: number
  readonly history: (topic: string) => History
  readonly random: SeededRandom
  /** Tells the writers of one load from those of another in the same history. */
  readonly round: number
  /** Bytes added to each value. */
  readonly paddingBytes?: number
}

interface PageRecord {
  readonly partition: number
  readonly offset: number
  readonly value: string
}

/** Values carry padding behind the name, which history and log agree on. */
const FORMS = ['publish', 'json', 'ndjson'] as const

export class Load {
  readonly #options: LoadOptions
  readonly #agent = new Agent({ connections: 64, pipelining: 1, allowH2: false })
  readonly #stop = new AbortController()
  readonly #workers: Promise<void>[] = []
  #acknowledged = 0
  #waiting: { count: number; resolve: () => void }[] = []

  constructor(options: LoadOptions) {
    this.#options = options
    for (let i = 0; i < options.writers; i++) this.#workers.push(this.#write(i))
    for (let i = 0; i < options.readers; i++) this.#workers.push(this.#read(i))
  }

  /** Resolves once so many requests of this load were acknowledged, or no writer is left. */
  async acknowledged(count: number): Promise<void> {
    const reached = new Promise<void>((resolve) => {
      if (this.#acknowledged >= count) resolve()
      else this.#waiting.push({ count, resolve })
    })
    await Promise.race([reached, Promise.all(this.#workers)])
  }

  /** Lets each worker finish the request that it is in, and waits for all. */
  async finish(): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#workers)
    await this.#agent.destroy()
  }

  async #write(index: number): Promise<void> {
    const { topics, round, random, paddingBytes = 0 } = this.#options
    const writer = `r${round}w${index}`
    const padding = '.'.repeat(paddingBytes)
    for (let batch = 0; !this.#stop.signal.aborted; batch++) {
      const topic = random.pick(topics)
      const form = random.pick(FORMS)
      const count = form === 'publish' ? 1 : random.between(1, 20)
      const values = Array.from({ length: count }, (_, i) => `${writer}-${batch}-${i}${padding}`)
      const key = random.float() < 0.5 ? `key-${random.between(0, 20)}` : undefined
      const outcomes = await this.#send(topic, form, values, key)
      for (const [i, outcome] of outcomes.entries()) {
        this.#options.history(topic).wrote(writer, values[i] ?? '', outcome)
      }
      if (outcomes.some(({ kind }) => kind === 'written')) this.#acknowledge()
      if (outcomes.some(({ kind }) => kind === 'unknown')) return
    }
  }

  async #send(
    topic: string,
    form: (typeof FORMS)[number],
    values: readonly string[],
    key: string | undefined,
  ): Promise<Outcome[]> {
    const records = values.map((value) => ({ ...(key === undefined ? {} : { key }), value }))
    const requests = {
      publish: {
        path: `publish${key === undefined ? '' : `?key=${key}`}`,
        type: 'text/plain',
        body: values[0] ?? '',
      },
      json: { path: 'records', type: 'application/json', body: JSON.stringify({ records }) },
      ndjson: {
        path: 'records?acks=1',
        type: 'application/x-ndjson',
        body: records.map((record) => JSON.stringify(record)).join('\n'),
      },
    }
    const { path, type, body } = requests[form]
    try {
      const answer = await call(this.#options.baseUrl, 'POST', `/v1/topics/${topic}/${path}`, {
        headers: { 'content-type': type },
        body,
        agent: this.#agent,
      })
      return outcomesOf(answer, form, values.length)
    } catch {
      return values.map(() => ({ kind: 'unknown' }))
    }
  }

  async #read(index: number): Promise<void> {
    const { baseUrl, topics } = this.#options
    const topic = topics[index % topics.length] ?? ''
    let cursor = ''
    while (!this.#stop.signal.aborted) {
      const query = `?wait=1&limit=500${cursor && `&cursor=${cursor}`}`
      try {
        const answer = await call(baseUrl, 'GET', `/v1/topics/${topic}/records${query}`, {
          agent: this.#agent,
        })
        if (answer.status !== 200) return
        const page = answer.json<{ records: PageRecord[]; cursor: string }>()
        for (const record of page.records) this.#options.history(topic).read(record)
        cursor = page.cursor
      } catch {
        return
      }
    }
  }

  #acknowledge(): void {
    this.#acknowledged += 1
    for (const { count, resolve } of this.#waiting) {
      if (this.#acknowledged >= count) resolve()
    }
    this.#waiting = this.#waiting.filter(({ count }) => count > this.#acknowledged)
  }
}

/** What the answer says of each record of the request. */
function outcomesOf(answer: Answer, form: (typeof FORMS)[number], count: number): Outcome[] {
  if (answer.status === 200 || answer.status === 207) {
    const { records } = answer.json<{ records: Placed[] }>()
    return records.map(outcomeOf)
  }
  if (answer.status === 201 && form === 'publish') return [outcomeOf(answer.json<Placed>())]
  const { committed } = answer.json<{ committed: string }>()
  return Array.from({ length: count }, () => ({
    kind: committed === 'no' ? 'refused' : 'unknown',
  }))
}

interface Placed {
  readonly partition?: number
  readonly offset?: number
  readonly error?: { readonly committed: string }
}

function outcomeOf({ partition, offset, error }: Placed): Outcome {
  if (error !== undefined) return { kind: error.committed === 'no' ? 'refused' : 'unknown' }
  if (partition === undefined || offset === undefined) {
    throw new Error('an answer named neither a place nor an error')
  }
  return { kind: 'written', partition, offset }
}

/** Reads a whole topic, from the earliest record to the end of the log. */
export async function readTopic(baseUrl: string, topic: string): Promise<StoredRecord[]> {
  const records: StoredRecord[] = []
  let cursor = ''
  for (;;) {
    const query = `?limit=10000&maxBytes=8388608${cursor && `&cursor=${cursor}`}`
    const answer = await call(baseUrl, 'GET', `/v1/topics/${topic}/records${query}`)
    if (answer.status !== 200) throw new Error(`reading ${topic}: ${answer.status} ${answer.text}`)
    const page = answer.json<{ records: PageRecord[]; cursor: string }>()
    if (page.records.length === 0) return records
    records.push(...page.records)
    cursor = page.cursor
  }
}

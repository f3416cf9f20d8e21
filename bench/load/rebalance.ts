/**
 * Members of a group that poll a topic while one of them leaves: how long its partitions are without a
 * reader, and how long the others' are.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { Agent, request } from 'undici'
import { serveHelper } from '../lib/helper-side.ts'
import type { Sample } from '../lib/sample.ts'

export interface RebalanceConfig {
  readonly port: number
  readonly topic: string
  readonly partitions: number
  readonly members: number
}

interface Page {
  readonly records: readonly { readonly partition: number }[]
  /** Absent from the answer to a join. */
  readonly cursor?: string
  readonly memberEpoch: number
  readonly assigned: readonly { readonly partitions: readonly number[] }[]
}

const EVERY_MS = 10
const CALM_MS = 1_500
const REBALANCED_MS = 20_000
const agent = new Agent({ connections: 64, pipelining: 1 })

await serveHelper(async (config: RebalanceConfig) => {
  let round = 0
  return { run: (): Promise<Sample> => measure(config, `rebalance-${round++}`) }
})

async function measure(config: RebalanceConfig, group: string): Promise<Sample> {
  const { port, topic, partitions, members } = config
  const stop = new AbortController()
  const arrivals = new Arrivals(partitions)
  const joined = Array.from({ length: members }, (_, i) => {
    const url = `http://127.0.0.1:${port}/v1/groups/${group}/members`
    return new Member(url, `member-${i}`, topic, arrivals)
  })
  const work = joined.map((member) => member.work(stop.signal))
  const producing = produce(config, stop.signal)
  try {
    await shared(joined, partitions)
    await delay(CALM_MS)
    const [leaver, ...others] = joined as [Member, ...Member[]]
    const moved = new Set(leaver.owned)
    const leftMs = performance.now()
    const before = arrivals.longestPause(leftMs - CALM_MS, leftMs, (p) => !moved.has(p))
    await leaver.leave()
    while (![...moved].every((partition) => arrivals.last(partition) > leftMs + EVERY_MS)) {
      if (performance.now() > leftMs + REBALANCED_MS)
        throw new Error('the group is not shared anew')
      await delay(1)
    }
    const readySeconds =
      (Math.max(...[...moved].map((p) => arrivals.firstAfter(p, leftMs))) - leftMs) / 1000
    await shared(others, partitions)
    await delay(CALM_MS / 3)
    const during = arrivals.longestPause(leftMs, performance.now(), (p) => !moved.has(p))
    return { readySeconds, p50Ms: before, p99Ms: during }
  } finally {
    stop.abort()
    await Promise.all([...work, producing])
  }
}

/** When each partition was read. */
class Arrivals {
  readonly #times: number[][]

  constructor(partitions: number) {
    this.#times = Array.from({ length: partitions }, () => [])
  }

  note(partition: number): void {
    this.#times[partition]?.push(performance.now())
  }

  last(partition: number): number {
    return this.#times[partition]?.at(-1) ?? 0
  }

  firstAfter(partition: number, timeMs: number): number {
    return (
      this.#times[partition]?.find((time) => time > timeMs + EVERY_MS) ?? Number.POSITIVE_INFINITY
    )
  }

  /** Of any partition that counts. */
  longestPause(fromMs: number, toMs: number, counts: (partition: number) => boolean): number {
    let longest = 0
    for (const [partition, times] of this.#times.entries()) {
      if (!counts(partition)) continue
      const within = times.filter((time) => time >= fromMs && time <= toMs)
      const marks = [fromMs, ...within, toMs]
      for (const [i, mark] of marks.entries())
        longest = Math.max(longest, mark - (marks[i - 1] ?? mark))
    }
    return longest
  }
}

class Member {
  owned: readonly number[] = []
  readonly #url: string
  readonly #id: string
  readonly #topic: string
  readonly #arrivals: Arrivals
  readonly #left = new AbortController()

  constructor(url: string, id: string, topic: string, arrivals: Arrivals) {
    this.#url = url
    this.#id = id
    this.#topic = topic
    this.#arrivals = arrivals
  }

  async work(stop: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([stop, this.#left.signal])
    const body = { memberId: this.#id, topics: [this.#topic], from: 'latest' }
    let page = await post(this.#url, body)
    while (!signal.aborted) {
      this.owned = page.assigned.flatMap(({ partitions }) => partitions)
      const { memberEpoch, cursor } = page
      const place = cursor === undefined ? {} : { cursor, commit: cursor }
      page = await post(`${this.#url}/${this.#id}/poll`, { memberEpoch, wait: 1, ...place })
      for (const { partition } of page.records) this.#arrivals.note(partition)
    }
  }

  /** Between two polls, as who has something to do does. */
  async leave(): Promise<void> {
    this.#left.abort()
    const answer = await request(`${this.#url}/${this.#id}`, {
      method: 'DELETE',
      dispatcher: agent,
    })
    await answer.body.dump()
  }
}

async function produce(
  { port, topic, partitions }: RebalanceConfig,
  stop: AbortSignal,
): Promise<void> {
  const records = Array.from({ length: partitions }, (_, partition) => ({ partition, value: 1 }))
  while (!stop.aborted) {
    await post(`http://127.0.0.1:${port}/v1/topics/${topic}/records`, { records })
    await delay(EVERY_MS)
  }
}

async function shared(members: readonly Member[], partitions: number): Promise<void> {
  const endMs = performance.now() + REBALANCED_MS
  for (;;) {
    const owned = members.flatMap(({ owned: own }) => own)
    const isWhole = new Set(owned).size === partitions && owned.length === partitions
    if (isWhole && members.every(({ owned: own }) => own.length > 0)) return
    if (performance.now() > endMs) throw new Error('the group is not shared')
    await delay(5)
  }
}

async function post(url: string, body: object): Promise<Page> {
  const answer = await request(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    dispatcher: agent,
  })
  const text = await answer.body.text()
  // The one that has left is told so.
  if (answer.statusCode >= 400 && answer.statusCode !== 404 && answer.statusCode !== 409) {
    throw new Error(`${url}: ${answer.statusCode} ${text}`)
  }
  return { records: [], assigned: [], ...(JSON.parse(text) as Partial<Page>) } as unknown as Page
}

/**
 * Judges what clients were told against what the log holds in the end (the anomalies of Jepsen's
 * kafka workload). Values are unique; each writer sends one request at a time, without retries.
 */

export type Outcome =
  /** Acknowledged at this place. */
  | { readonly kind: 'written'; readonly partition: number; readonly offset: number }
  /** The answer said that nothing was written. */
  | { readonly kind: 'refused' }
  /** No answer, or one that says that it does not know. */
  | { readonly kind: 'unknown' }

/** What an acknowledgement promised: to last, or only until another node leads the partition. */
export type Promised = 'for-good' | 'until-failover'

export interface Write {
  readonly writer: string
  readonly value: string
  readonly outcome: Outcome
  readonly promised: Promised
  readonly sentMs: number
}

export interface Judgement {
  /** Whether the leader of a partition changed, so that a write promised until then may be gone. */
  readonly failedOver?: (partition: number) => boolean
  /** Up to where records may have been deleted on purpose: below it nothing is missed. */
  readonly deletedTo?: (partition: number) => number
  /** Whether what was at the place at that time was given up on purpose since. */
  readonly givenUp?: (place: Place, atMs: number) => boolean
}

export interface Place {
  readonly partition: number
  readonly offset: number
}

export interface StoredRecord {
  readonly partition: number
  readonly offset: number
  readonly value: string
}

/** What clients of a topic did and were told. */
export interface ClientHistory {
  wrote(writer: string, value: string, outcome: Outcome, promised: Promised, sentMs: number): void
  /** A record that a reader was given while the writers were at work. */
  read(record: StoredRecord, atMs: number): void
  count(kind: Outcome['kind']): number
  /** Every way in which the final content of the log contradicts the history; empty when it does not. */
  anomalies(final: readonly StoredRecord[], judgement: Judgement): string[]
}

export class History implements ClientHistory {
  readonly #writes: Write[] = []
  readonly #reads: { readonly record: StoredRecord; readonly atMs: number }[] = []

  wrote(
    writer: string,
    value: string,
    outcome: Outcome,
    promised: Promised = 'for-good',
    sentMs = 0,
  ): void {
    this.#writes.push({ writer, value, outcome, promised, sentMs })
  }

  read(record: StoredRecord, atMs = 0): void {
    this.#reads.push({ record, atMs })
  }

  count(kind: Outcome['kind']): number {
    return this.#writes.filter(({ outcome }) => outcome.kind === kind).length
  }

  anomalies(final: readonly StoredRecord[], judgement: Judgement = {}): string[] {
    const { deletedTo = () => 0, givenUp = () => false } = judgement
    const isKept = ({ partition, offset }: Place) => offset >= deletedTo(partition)
    const binding = this.#writes.map((write) => bindingOf(write, judgement))
    const reads = this.#reads.flatMap(({ record, atMs }) =>
      isKept(record) && !givenUp(record, atMs) ? [record] : [],
    )
    const places = new Map(final.map((record) => [place(record), record.value]))
    return [
      ...duplicates(final),
      ...holes(final),
      ...binding.flatMap((write) => judgeWrite(write, places, isKept)),
      ...inventions(binding, final),
      ...disorder(binding),
      ...reads.flatMap((read) => judgeRead(read, places)),
    ]
  }
}

/** An acknowledgement that has ended by a failover, or was given up, says as little as none. */
function bindingOf(write: Write, { failedOver, givenUp }: Judgement): Write {
  const { outcome, promised, sentMs } = write
  if (outcome.kind !== 'written') return write
  const isOver = promised === 'until-failover' && failedOver?.(outcome.partition) === true
  const holds = !isOver && givenUp?.(outcome, sentMs) !== true
  return holds ? write : { ...write, outcome: { kind: 'unknown' } }
}

const place = ({ partition, offset }: Place): string => `${partition}@${offset}`

function judgeWrite(
  { value, outcome }: Write,
  places: Map<string, string>,
  isKept: (at: Place) => boolean,
): string[] {
  if (outcome.kind !== 'written') return []
  const found = places.get(place(outcome))
  if (found === undefined && !isKept(outcome)) return []
  if (found === value) return []
  if (found === undefined) return [`lost write: ${value} was acknowledged at ${place(outcome)}`]
  return [`inconsistent offset: ${place(outcome)} was acknowledged for ${value}, holds ${found}`]
}

function judgeRead(read: StoredRecord, places: Map<string, string>): string[] {
  const found = places.get(place(read))
  if (found === read.value) return []
  return [`unstable read: ${place(read)} was read as ${read.value}, now ${found ?? 'missing'}`]
}

function duplicates(final: readonly StoredRecord[]): string[] {
  const seen = new Map<string, string>()
  const found: string[] = []
  for (const record of final) {
    const earlier = seen.get(record.value)
    if (earlier !== undefined) {
      found.push(`duplicate: ${record.value} at ${earlier} and ${place(record)}`)
    }
    seen.set(record.value, place(record))
  }
  return found
}

/** Without transactions and compaction, offsets have no gaps, and a reader sees them grow by one. */
function holes(final: readonly StoredRecord[]): string[] {
  const next = new Map<number, number>()
  const found: string[] = []
  for (const { partition, offset } of final) {
    const expected = next.get(partition)
    if (expected !== undefined && offset !== expected) {
      found.push(`hole: partition ${partition} went from ${expected - 1} to ${offset}`)
    }
    next.set(partition, offset + 1)
  }
  return found
}

function inventions(writes: readonly Write[], final: readonly StoredRecord[]): string[] {
  const refused = new Set<string>()
  const sent = new Set<string>()
  for (const { value, outcome } of writes) {
    sent.add(value)
    if (outcome.kind === 'refused') refused.add(value)
  }
  return final.flatMap((record) => {
    if (refused.has(record.value))
      return [`refused, yet written: ${record.value} at ${place(record)}`]
    return sent.has(record.value) ? [] : [`never sent: ${record.value} at ${place(record)}`]
  })
}

/** One writer's acknowledged records keep the order in which it sent them, in each partition. */
function disorder(writes: readonly Write[]): string[] {
  const last = new Map<string, number>()
  const found: string[] = []
  for (const { writer, value, outcome } of writes) {
    if (outcome.kind !== 'written') continue
    const lane = `${writer}/${outcome.partition}`
    const before = last.get(lane) ?? -1
    if (outcome.offset <= before) {
      found.push(`disorder: ${writer} wrote ${value} at ${place(outcome)}, behind ${before}`)
    }
    last.set(lane, outcome.offset)
  }
  return found
}

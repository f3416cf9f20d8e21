/**
 * Judges what clients of a compacted topic were told against what its log holds in the end: the last
 * record of each key is there, what is there was written, and nothing moved.
 */
import type {
  ClientHistory,
  Judgement,
  Outcome,
  Promised,
  StoredRecord,
} from '../support/history-checker.ts'
import { deletionOf, keyedEntry } from './sim-records.ts'

interface KeyedWrite {
  readonly name: string
  readonly key: string
  /** As it is read. */
  readonly value: string
  readonly outcome: Outcome
  readonly promised: Promised
  readonly sentMs: number
}

export class KeyedHistory implements ClientHistory {
  readonly #writes: KeyedWrite[] = []
  readonly #reads: { readonly record: StoredRecord; readonly atMs: number }[] = []

  wrote(_writer: string, name: string, outcome: Outcome, promised: Promised, sentMs: number): void {
    const { key, value } = keyedEntry(name)
    this.#writes.push({ name, key, value: value ?? deletionOf(key), outcome, promised, sentMs })
  }

  read(record: StoredRecord, atMs: number): void {
    this.#reads.push({ record, atMs })
  }

  count(kind: Outcome['kind']): number {
    return this.#writes.filter(({ outcome }) => outcome.kind === kind).length
  }

  anomalies(final: readonly StoredRecord[], judgement: Judgement): string[] {
    const { deletedTo = () => 0, givenUp = () => false } = judgement
    const at = new Map(final.map((record) => [placeOf(record), record.value]))
    const moved = this.#reads.flatMap(({ record, atMs }) => {
      const now = at.get(placeOf(record))
      if (now === undefined || now === record.value || givenUp(record, atMs)) return []
      return [`unstable read: ${placeOf(record)} was read as ${record.value}, now ${now}`]
    })
    const binding = this.#writes.filter((write) => isBinding(write, judgement))
    return [
      ...disorder(final),
      ...moved,
      ...this.#inventions(final),
      ...binding.flatMap((write) => {
        const { outcome, value } = write
        if (outcome.kind !== 'written' || outcome.offset < deletedTo(outcome.partition)) return []
        const found = at.get(placeOf(outcome))
        if (found !== undefined) {
          return found === value ? [] : [`${placeOf(outcome)} was ${value}, holds ${found}`]
        }
        return this.#isReplaced(write, final) ? [] : [`lost: ${value} at ${placeOf(outcome)}`]
      }),
    ]
  }

  /** Whether a later record of the key is there, or deleted it and is gone as well. */
  #isReplaced({ key, value, outcome }: KeyedWrite, final: readonly StoredRecord[]): boolean {
    if (outcome.kind !== 'written') return true
    const { partition, offset } = outcome
    const last = final.findLast((record) => {
      return record.partition === partition && keyOf(record.value) === key
    })
    if (last !== undefined) return last.offset > offset
    return (
      value === deletionOf(key) ||
      this.#writes.some((write) => {
        if (write.value !== deletionOf(key) || write.outcome.kind === 'refused') return false
        const isElsewhere =
          write.outcome.kind === 'written' && write.outcome.partition !== partition
        const isEarlier = write.outcome.kind === 'written' && write.outcome.offset < offset
        return !isElsewhere && !isEarlier
      })
    )
  }

  #inventions(final: readonly StoredRecord[]): string[] {
    const sent = new Map(this.#writes.map((write) => [write.value, write]))
    const refused = new Set<string>()
    for (const { value, outcome } of this.#writes) {
      if (outcome.kind === 'refused') refused.add(value)
      else sent.set(value, { ...(sent.get(value) as KeyedWrite), outcome })
    }
    const seen = new Map<string, string>()
    return final.flatMap((record) => {
      const { value } = record
      const where = placeOf(record)
      if (!sent.has(value)) return [`never sent: ${value} at ${where}`]
      if (isDeletion(value)) return []
      const earlier = seen.get(value)
      seen.set(value, where)
      if (earlier !== undefined) return [`duplicate: ${value} at ${earlier} and ${where}`]
      return refused.has(value) ? [`refused, yet written: ${value} at ${where}`] : []
    })
  }
}

/** An acknowledgement that has ended by a failover, or was given up, says as little as none. */
function isBinding({ outcome, promised, sentMs }: KeyedWrite, judgement: Judgement): boolean {
  if (outcome.kind !== 'written') return false
  const { failedOver, givenUp } = judgement
  if (promised === 'until-failover' && failedOver?.(outcome.partition) === true) return false
  return givenUp?.(outcome, sentMs) !== true
}

function disorder(final: readonly StoredRecord[]): string[] {
  const last = new Map<number, number>()
  return final.flatMap((record) => {
    const before = last.get(record.partition) ?? -1
    last.set(record.partition, record.offset)
    return record.offset > before ? [] : [`disorder: ${placeOf(record)} comes behind ${before}`]
  })
}

const isDeletion = (value: string): boolean => value.startsWith(deletionOf(''))

const keyOf = (value: string): string =>
  isDeletion(value) ? value.slice(deletionOf('').length) : keyedEntry(value).key

const placeOf = ({ partition, offset }: { partition: number; offset: number }): string =>
  `${partition}@${offset}`

/**
 * A slot map as it is stored: the partition count it began with and the slots that have moved
 * since. For a map that never changed that is nothing.
 *
 *   {"initialPartitions": 6, "version": 1, "moves": []}
 *   {"initialPartitions": 6, "version": 2, "moves": [[6, [0, 7, 14]]]}     [partition, its slots]
 */
import type { SlotMap } from '../core/slot-map.ts'
import { initialSlotMap, slotCount } from '../core/slot-map.ts'
import type { JsonFields } from './json-fields.ts'

export interface SlotMapRecord {
  readonly initialPartitions: number
  readonly version: number
  readonly moves: readonly (readonly [partition: number, slots: readonly number[]])[]
}

export function slotMapRecord(initialPartitions: number, map: SlotMap): SlotMapRecord {
  const initial = initialSlotMap(initialPartitions).slots
  const moved = new Map<number, number[]>()
  for (const [slot, partition] of map.slots.entries()) {
    if (partition === initial[slot]) continue
    const slots = moved.get(partition)
    if (slots === undefined) moved.set(partition, [slot])
    else slots.push(slot)
  }
  return { initialPartitions, version: map.version, moves: [...moved] }
}

/** `initial` gives the map of a topic that began with so many partitions; its slots may be shared. */
export function slotMapOf(
  record: SlotMapRecord,
  initial: (partitions: number) => SlotMap,
): SlotMap {
  const { slots } = initial(record.initialPartitions)
  if (record.moves.length === 0) return { version: record.version, slots }
  const moved = slots.slice()
  for (const [partition, ofPartition] of record.moves) {
    for (const slot of ofPartition) moved[slot] = partition
  }
  return { version: record.version, slots: moved }
}

/** @throws TypeError */
export function readSlotMapRecord(fields: JsonFields, partitions: number): SlotMapRecord {
  const initialPartitions = fields.integer('initialPartitions', 1)
  if (initialPartitions > partitions) {
    throw new TypeError('initialPartitions is more than there are partitions')
  }
  const slotsBelow = slotCount(initialPartitions)
  const moves = fields.array('moves').map((move) => {
    const [partition, slots] = Array.isArray(move) ? move : []
    const valid =
      isBelow(partition, partitions) &&
      Array.isArray(slots) &&
      slots.every((slot) => isBelow(slot, slotsBelow))
    if (!valid) throw new TypeError('moves has something that is no move')
    return [partition, slots as number[]] as const
  })
  return { initialPartitions, version: fields.integer('version', 1), moves }
}

function isBelow(value: unknown, bound: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < bound
}

/**
 * Which partition a key belongs to. A key hashes to one of S slots, fixed at creation, and a
 * versioned map says which partition holds the slot, so that growth moves only the slots it must.
 * With S = N0 * ceil(4096 / N0) and slot mod N0 as the first map, every key is where Kafka's
 * clients would put it.
 */
export interface SlotMap {
  readonly version: number
  /** Partition of each slot. */
  readonly slots: Uint16Array
}

const SLOTS_AT_LEAST = 4096

/** Slots of a topic that is created with so many partitions. */
export function slotCount(partitions: number): number {
  return partitions * Math.ceil(SLOTS_AT_LEAST / partitions)
}

export function initialSlotMap(partitions: number): SlotMap {
  const slots = new Uint16Array(slotCount(partitions))
  for (let slot = 0; slot < slots.length; slot++) slots[slot] = slot % partitions
  return { version: 1, slots }
}

export function partitionOfKey(map: SlotMap, key: Uint8Array): number {
  return map.slots[(murmur2(key) & 0x7fffffff) % map.slots.length] as number
}

/** 32-bit MurmurHash2 with Kafka's seed (org.apache.kafka.common.utils.Utils.murmur2); signed. */
export function murmur2(data: Uint8Array): number {
  const m = 0x5bd1e995
  const { length } = data
  let h = 0x9747b28c ^ length
  const end = length & ~3
  for (let i = 0; i < end; i += 4) {
    let k =
      (data[i] as number) |
      ((data[i + 1] as number) << 8) |
      ((data[i + 2] as number) << 16) |
      ((data[i + 3] as number) << 24)
    k = Math.imul(k, m)
    k ^= k >>> 24
    k = Math.imul(k, m)
    h = Math.imul(h, m) ^ k
  }
  const rest = length & 3
  if (rest === 3) h ^= (data[end + 2] as number) << 16
  if (rest >= 2) h ^= (data[end + 1] as number) << 8
  if (rest >= 1) h = Math.imul(h ^ (data[end] as number), m)
  h ^= h >>> 13
  h = Math.imul(h, m)
  return h ^ (h >>> 15)
}

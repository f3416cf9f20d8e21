/**
 * An immutable map from strings in which a changed copy shares most of its memory with the one
 * before: the entries lie in buckets by hash, and only the buckets that changed are copied. Iterates
 * in no particular order.
 */
type Bucket<K, V> = ReadonlyMap<K, V>

/** Near the square root of many topics, so that the array of buckets and one bucket cost alike. */
const BUCKETS = 256
const NOTHING: Bucket<never, never> = new Map<never, never>()

export class SharedMap<K extends string, V> implements ReadonlyMap<K, V> {
  readonly size: number
  readonly #buckets: readonly Bucket<K, V>[]

  static empty<K extends string, V>(): SharedMap<K, V> {
    return new SharedMap<K, V>(new Array<Bucket<K, V>>(BUCKETS).fill(NOTHING), 0)
  }

  private constructor(buckets: readonly Bucket<K, V>[], size: number) {
    this.#buckets = buckets
    this.size = size
  }

  /** A copy in which each key has its new value, or is gone where that is undefined. */
  with(changes: ReadonlyMap<K, V | undefined>): SharedMap<K, V> {
    const buckets = this.#buckets.slice()
    const copied = new Map<number, Map<K, V>>()
    let { size } = this
    for (const [key, value] of changes) {
      const index = bucketOf(key)
      let bucket = copied.get(index)
      if (bucket === undefined) {
        bucket = new Map(buckets[index])
        copied.set(index, bucket)
        buckets[index] = bucket
      }
      size -= bucket.size
      if (value === undefined) bucket.delete(key)
      else bucket.set(key, value)
      size += bucket.size
    }
    return new SharedMap(buckets, size)
  }

  get(key: K): V | undefined {
    return this.#bucket(key).get(key)
  }

  has(key: K): boolean {
    return this.#bucket(key).has(key)
  }

  forEach(callback: (value: V, key: K, map: ReadonlyMap<K, V>) => void, thisArg?: unknown): void {
    for (const [key, value] of this) callback.call(thisArg, value, key, this)
  }

  *entries(): MapIterator<[K, V]> {
    for (const bucket of this.#buckets) yield* bucket
  }

  *keys(): MapIterator<K> {
    for (const bucket of this.#buckets) yield* bucket.keys()
  }

  *values(): MapIterator<V> {
    for (const bucket of this.#buckets) yield* bucket.values()
  }

  [Symbol.iterator](): MapIterator<[K, V]> {
    return this.entries()
  }

  #bucket(key: K): Bucket<K, V> {
    return this.#buckets[bucketOf(key)] as Bucket<K, V>
  }
}

/** FNV-1a over the UTF-16 units. */
function bucketOf(key: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193)
  return (hash ^ (hash >>> 16)) & (BUCKETS - 1)
}

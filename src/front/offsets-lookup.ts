/**
 * Asks nodes for the offsets of partitions on behalf of many: what arrives while a call is on its way
 * to a node goes with the next one there.
 */
import type { StorageClient, WaitOptions } from '../internal/storage-client.ts'
import type { PartitionOffsets, PartitionPlace } from '../wire/internal.ts'

type Told = readonly (PartitionOffsets | undefined)[]

interface Asked {
  readonly places: readonly PartitionPlace[]
  readonly resolve: (told: Told) => void
}

interface Lane {
  waiting: Asked[]
  onTheWay: number
}

const ON_THE_WAY_MAX = 2
const PLACES_MAX = 5_000

export class OffsetsLookup {
  readonly #options: () => WaitOptions
  readonly #lanes = new WeakMap<StorageClient, Lane>()

  /** `options` of each call. */
  constructor(options: () => WaitOptions) {
    this.#options = options
  }

  /** In order; undefined where the node cannot be asked or does not lead. Never rejects. */
  ask(client: StorageClient, places: readonly PartitionPlace[]): Promise<Told> {
    let lane = this.#lanes.get(client)
    if (lane === undefined) {
      lane = { waiting: [], onTheWay: 0 }
      this.#lanes.set(client, lane)
    }
    const { promise, resolve } = Promise.withResolvers<Told>()
    lane.waiting.push({ places, resolve })
    this.#pump(client, lane)
    return promise
  }

  #pump(client: StorageClient, lane: Lane): void {
    while (lane.waiting.length > 0 && lane.onTheWay < ON_THE_WAY_MAX) {
      const asked = taken(lane)
      lane.onTheWay++
      void client
        .offsetsOf(
          asked.flatMap(({ places }) => places),
          this.#options(),
        )
        // Whoever cannot be asked hides nobody else.
        .catch((): Told => [])
        .then((told) => {
          lane.onTheWay--
          this.#pump(client, lane)
          let at = 0
          for (const { places, resolve } of asked) {
            resolve(places.map((_, i) => told[at + i]))
            at += places.length
          }
        })
    }
  }
}

/** As many as one call should carry, and at least one. */
function taken(lane: Lane): Asked[] {
  let places = 0
  let count = 0
  for (const asked of lane.waiting) {
    places += asked.places.length
    if (count > 0 && places > PLACES_MAX) break
    count++
  }
  const asked = lane.waiting.slice(0, count)
  lane.waiting = lane.waiting.slice(count)
  return asked
}

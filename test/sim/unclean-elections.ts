/** All whole replicas of a partition go away, and an operator chooses one that is not whole. */
import type { Random } from '../../src/env/random.ts'
import type { NemesisDeps } from './nemesis.ts'

/** A node that is down that long is out of sync, or not registered any more. */
const GONE_MS = 13_000
const ATTEMPTS = 15
const BETWEEN_MS = 1_000
const NEVER = new AbortController().signal

export class UncleanElections {
  readonly #deps: NemesisDeps
  #isBusy: boolean = false

  constructor(deps: NemesisDeps) {
    this.#deps = deps
  }

  /** Whether the one whole replica may be the one that was chosen. */
  get isBusy(): boolean {
    return this.#isBusy
  }

  /** Does nothing while it is at it, or where a disk is not what it was. */
  async strike(random: Random, isOver: () => boolean): Promise<void> {
    const { world, nodes, invariants } = this.#deps
    const all = [...invariants.partitions()]
    const found = all[random.uint32() % Math.max(1, all.length)]
    if (this.#isBusy || found === undefined) return
    const replicas = nodes.filter(({ id }) => found.record.replicas.includes(id))
    if (replicas.some(({ id }) => invariants.lossy.has(id) || invariants.decayed.has(id))) return
    const chosen = replicas[random.uint32() % replicas.length]
    if (chosen === undefined) return
    this.#isBusy = true
    const others = replicas.filter((node) => node !== chosen)
    chosen.supervised = false
    chosen.kill()
    await world.sleep(random.float() * GONE_MS)
    // All heals, and stays so.
    if (isOver()) {
      this.#isBusy = false
      return
    }
    for (const node of others) node.supervised = false
    for (const node of others) node.kill()
    chosen.supervised = true
    chosen.start()
    await world.sleep(GONE_MS)
    const { topic, partition } = found
    for (let n = 0; n < ATTEMPTS && !isOver(); n++) {
      if (await this.#elect(topic.name, partition, chosen.id)) break
      await world.sleep(BETWEEN_MS)
    }
    for (const node of others) {
      node.supervised = true
      node.start()
    }
    this.#isBusy = false
  }

  async #elect(name: string, partition: number, nodeId: number): Promise<boolean> {
    const { fronts, world } = this.#deps
    const running = fronts.find((front) => front.running !== undefined)?.running
    const topic = [...(running?.metadata.image.topics.values() ?? [])].find(
      (one) => one.name === name,
    )
    if (running === undefined || topic === undefined) return false
    const place = { topic, partition, requestId: 'operator' }
    const late = world.sleep(10 * BETWEEN_MS).then(() => 'no answer')
    const asked = running.elections.electUnclean(place, nodeId, NEVER).then(
      () => 'done',
      (error: unknown) => String(error),
    )
    const outcome = await Promise.race([asked, late])
    world.trace.add('OPERATOR', `n${nodeId} shall lead ${name}/${partition}: ${outcome}`)
    return outcome === 'done'
  }
}

/**
 * Several nodes that register, elect, resign, pause, die and come back over one store whose answers
 * are lost, from a seed. Every write is checked as it is made; in the end all must be led.
 */
import { expect, test } from 'vitest'
import type { LocalReplica } from '../../src/core/election.ts'
import { withIsr } from '../../src/core/election.ts'
import type { TopicId } from '../../src/core/ids.ts'
import { nodeKey } from '../../src/metadata/metadata-keys.ts'
import { decodePartition, encodePartition } from '../../src/metadata/metadata-records.ts'
import type { Member } from '../replication/control-world.ts'
import { ControlWorld, TTL_MS } from '../replication/control-world.ts'
import type { SeededRandom } from '../support/seeded-random.ts'
import { seededRandom } from '../support/seeded-random.ts'

const NODES = [1, 2, 3, 4]
const PARTITIONS = 40
const STEPS = 60
const RUNS = 12

class Chaos {
  readonly world: ControlWorld
  readonly topicId: TopicId
  readonly #random: SeededRandom
  readonly #dead = new Set<number>()
  #isHealed: boolean = false

  constructor(random: SeededRandom) {
    this.#random = random
    this.world = new ControlWorld(random.between(0, 2 ** 31))
    const replicas = Array.from({ length: PARTITIONS }, (_, p) =>
      [0, 1, 2].map((n) => NODES[(p + n) % NODES.length]!),
    )
    this.topicId = this.world.addTopic('t', replicas, 2)
    for (const id of NODES) this.#boot(id, 'kept')
    this.#churn()
  }

  async step(): Promise<void> {
    const { between, pick, float } = this.#random
    const member = this.world.member(pick(NODES))
    switch (between(0, 8)) {
      case 0:
        this.#kill(member)
        break
      case 1:
        if (this.#dead.has(member.id)) {
          this.#boot(member.id, pick(['kept', 'kept', 'loss-possible', 'lost']))
        }
        break
      case 2:
        member.clock.pause()
        break
      case 3:
        member.clock.resume()
        break
      case 4:
        member.handle.faults.away = !this.#dead.has(member.id) && float() < 0.5
        break
      case 5:
        Object.assign(member.handle.faults, {
          answerLoss: float() * 0.4,
          latencyMs: between(1, 2_000),
        })
        break
      case 6:
        member.handle.faults.watchDelayMs = between(0, 3_000)
        break
      default:
        this.#resign(member)
    }
    await this.world.clock.runFor(between(1, TTL_MS))
  }

  /** Everything works again, and stays so for a while. */
  async heal(): Promise<void> {
    this.#isHealed = true
    for (const member of this.world.members.values()) {
      member.clock.resume()
      if (!this.#dead.has(member.id)) member.handle.heal()
    }
    for (const id of [...this.#dead]) this.#boot(id, 'kept')
    await this.world.clock.runFor(12 * TTL_MS)
  }

  #kill(member: Member): void {
    member.kill()
    this.#dead.add(member.id)
  }

  #boot(id: number, local: LocalReplica): void {
    this.#dead.delete(id)
    const member = this.world.boot(id, {
      rate: 0.95 + this.#random.float() * 0.1,
      retryMs: 500,
    })
    member.local = () => local
    // One that is killed before it is up stays where it is.
    member.start().catch((error: unknown) => member.fatal.push(error))
  }

  #resign(member: Member): void {
    const stop = new AbortController()
    this.world.clock.timer(2_000, () => stop.abort())
    member.registration.resign(stop.signal).catch((error: unknown) => member.fatal.push(error))
  }

  #churn(): void {
    if (this.#isHealed) return
    this.#changeIsr(this.#random.between(0, PARTITIONS))
    this.world.clock.timer(this.#random.between(1, 200), () => this.#churn())
  }

  /** As leaders do: any members leave, and only those join that are up. */
  #changeIsr(partition: number): void {
    const { store } = this.world
    const key = `/partitions/${this.topicId}/${partition}`
    const state = decodePartition(store.get(key)!.value)
    const isUp = (node: number) => store.get(nodeKey(node)) !== undefined
    if (!isUp(state.leader)) return
    const members = state.replicas.filter((node) => isUp(node) && this.#random.float() < 0.6)
    const next = withIsr(state, [...members, state.leader], 2)
    const put = [{ key, value: encodePartition(next) }]
    store.transact({ compare: [], put }, `${state.leader}`)
  }
}

test('one leader per epoch, epochs rise, and in the end everything is led again', async () => {
  const random = seededRandom('control races')
  for (let run = 0; run < RUNS; run++) {
    const chaos = new Chaos(random)
    for (let step = 0; step < STEPS; step++) await chaos.step()
    await chaos.heal()
    const { world, topicId } = chaos
    expect(world.violations).toEqual([])
    expect([...world.members.values()].flatMap(({ fatal }) => fatal)).toEqual([])
    expect(NODES).toContain(world.controller)
    expect(NODES.map((id) => world.store.get(nodeKey(id)) !== undefined)).toEqual(
      NODES.map(() => true),
    )
    for (let p = 0; p < PARTITIONS; p++) {
      const { leader, isr, elr } = world.state(topicId, p)
      // Without anybody who holds all that was committed there is nobody to elect.
      expect(leader === -1).toBe(isr.length + elr.length === 0)
    }
    const reigning = NODES.filter((id) => world.member(id).controller.epoch > 0)
    expect(reigning).toEqual([world.controller])
  }
})

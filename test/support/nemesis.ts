/** The faults that strike a cluster of three under load; each is over, and its victims are back, when it resolves. */
import { setTimeout as delay } from 'node:timers/promises'
import type { ClusterLoad } from './cluster-load.ts'
import type { ClusterNetwork } from './cluster-network.ts'
import { blockBoth } from './cluster-network.ts'
import type { CurlewCluster } from './curlew-cluster.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { StorageMember } from './storage-member.ts'

export interface Battle {
  readonly cluster: CurlewCluster
  readonly network: ClusterNetwork
  readonly load: ClusterLoad
  readonly topic: string
  readonly random: SeededRandom
}

export type Strike = (battle: Battle) => Promise<void>

/** Beyond the time to live of a registration, and what it takes to notice. */
const PAST_LEASE_MS = 4_000
const SOME = 10

async function leader({ cluster, topic, random }: Battle): Promise<StorageMember> {
  const partitions = await cluster.partitions(topic)
  return cluster.node(random.pick(partitions.filter((p) => p.leader > 0)).leader)
}

async function follower(battle: Battle): Promise<StorageMember> {
  const { cluster, topic, random } = battle
  const { leader: leads, replicas } = random.pick(await cluster.partitions(topic))
  return cluster.node(random.pick(replicas.filter((id) => id !== leads)))
}

async function crash({ load }: Battle, victim: StorageMember): Promise<void> {
  await victim.killHard()
  await load.progress(SOME, `node ${victim.nodeId} is dead`)
  await victim.start()
}

function twoOf({ random }: Battle): [number, number] {
  const one = random.between(1, 4)
  return [one, random.pick([1, 2, 3].filter((id) => id !== one))]
}

/** Parts that do not reach each other, and are not told. */
export const PARTINGS: Readonly<Record<string, Strike>> = {
  'two nodes do not reach each other': async (battle) => {
    const { network, load } = battle
    const [one, other] = twoOf(battle)
    blockBoth(network, one, other)
    await delay(PAST_LEASE_MS)
    await load.progress(SOME, `nodes ${one} and ${other} are apart`)
    network.heal()
  },

  'one node does not reach another': async (battle) => {
    const { network, load } = battle
    const [one, other] = twoOf(battle)
    network.block(one, other)
    await delay(PAST_LEASE_MS)
    await load.progress(SOME, `nothing comes from node ${one} to ${other}`)
    network.heal()
  },

  'a leader does not reach etcd': async (battle) => {
    const { network, load, random } = battle
    const { nodeId } = await leader(battle)
    const way = random.pick(['both', 'to', 'from'])
    if (way !== 'from') network.block(nodeId, 'etcd')
    if (way !== 'to') network.block('etcd', nodeId)
    await delay(PAST_LEASE_MS)
    await load.progress(SOME, `node ${nodeId} does not reach etcd (${way})`)
    network.heal()
  },

  'a node is alone': async (battle) => {
    const { network, load } = battle
    const { nodeId } = await leader(battle)
    for (const part of [1, 2, 3, 'etcd', 'fronts'] as const) {
      if (part !== nodeId) blockBoth(network, nodeId, part)
    }
    await delay(PAST_LEASE_MS)
    await load.progress(SOME, `node ${nodeId} is alone`)
    network.heal()
  },
}

export const STRIKES: Readonly<Record<string, Strike>> = {
  ...PARTINGS,

  'kill -9 of a leader': async (battle) => crash(battle, await leader(battle)),

  'kill -9 of a follower': async (battle) => crash(battle, await follower(battle)),

  'kill -9 of the controller': async (battle) => {
    const { cluster } = battle
    await crash(battle, cluster.node(await cluster.controller()))
  },

  'kill -9 of two nodes at once': async (battle) => {
    const { cluster, random } = battle
    const [one, other] = twoOf(battle).map((id) => cluster.node(id)) as [
      StorageMember,
      StorageMember,
    ]
    await Promise.all([one.killHard(), other.killHard()])
    await delay(random.between(0, PAST_LEASE_MS))
    await Promise.all([one.start(), other.start()])
    await battle.load.progress(SOME, 'two nodes came back')
  },

  'kill -9 of all nodes at once': async ({ cluster, load }) => {
    await Promise.all(cluster.nodes.map((node) => node.killHard()))
    await Promise.all(cluster.nodes.map((node) => node.start()))
    await load.progress(SOME, 'all nodes came back')
  },

  'a leader stands still past its lease': async (battle) => {
    const victim = await leader(battle)
    victim.pause()
    await delay(PAST_LEASE_MS)
    await battle.load.progress(SOME, `node ${victim.nodeId} stands still`)
    victim.resume()
    await battle.load.progress(SOME, `node ${victim.nodeId} is back`)
  },

  'a leader stands still for a moment': async (battle) => {
    const victim = await leader(battle)
    victim.pause()
    await delay(battle.random.between(100, 1_500))
    victim.resume()
  },

  'slow links': async ({ cluster, load }) => {
    cluster.network.disturb({ delayMs: 60 })
    await load.progress(SOME, 'links are slow')
    cluster.network.heal()
  },

  'connections break': async ({ cluster, load, random }) => {
    cluster.network.disturb({ cutWithinBytes: random.between(2_000, 200_000) })
    await delay(3_000)
    cluster.network.heal()
    await load.progress(SOME, 'connections hold again')
  },

  'connections close by half': async ({ cluster, load, random }) => {
    cluster.network.disturb({ halfCloseWithinBytes: random.between(2_000, 200_000) })
    await delay(3_000)
    cluster.network.heal()
    cluster.network.breakAll()
    await load.progress(SOME, 'connections hold again')
  },

  'etcd is killed': async ({ cluster, load }) => {
    await cluster.etcd.killHard()
    await load.progress(SOME, 'etcd is away')
    await delay(PAST_LEASE_MS)
    await load.progress(SOME, 'etcd is away for long')
    await cluster.etcd.restart()
  },

  'etcd stands still': async ({ cluster, load }) => {
    cluster.etcd.signal('SIGSTOP')
    await delay(PAST_LEASE_MS)
    await load.progress(SOME, 'etcd stands still')
    cluster.etcd.signal('SIGCONT')
  },

  'kill -9 of a front': async ({ cluster, load, random }) => {
    const index = random.between(0, cluster.fronts.length)
    await cluster.killFront(index)
    await load.progress(SOME, 'a front is dead')
    await cluster.startFront(index)
  },
}

/** The links between the parts of a test cluster, and how they fail: made of proxies that hold bytes back. */
import { freePort } from './free-port.ts'
import type { LinkFaults } from './link-proxy.ts'
import { LinkProxy } from './link-proxy.ts'
import type { SeededRandom } from './seeded-random.ts'

/** A storage node by its number, all fronts together, or etcd. */
export type Part = number | 'fronts' | 'etcd'

export interface ClusterNetwork {
  /** Nothing that the one sends reaches the other, and nobody is told. */
  block(from: Part, to: Part): void
  /** All is well again. */
  heal(): void
}

export function blockBoth(network: ClusterNetwork, one: Part, other: Part): void {
  network.block(one, other)
  network.block(other, one)
}

export class ProxiedNetwork implements ClusterNetwork {
  readonly #random: SeededRandom
  /** In front of each storage node. */
  readonly #nodes = new Map<number, LinkProxy>()
  /** In front of etcd, one for each storage node. */
  readonly #etcd = new Map<number, LinkProxy>()

  constructor(random: SeededRandom) {
    this.#random = random
  }

  /** Resolves with the ways to the node, and from it to etcd. */
  async join(
    nodeId: number,
    urls: { readonly node: string; readonly etcd: string },
  ): Promise<{ readonly node: string; readonly etcd: string }> {
    const node = await LinkProxy.start(urls.node, await freePort(), this.#random)
    this.#nodes.set(nodeId, node)
    const etcd = await LinkProxy.start(urls.etcd, await freePort(), this.#random)
    this.#etcd.set(nodeId, etcd)
    return { node: node.url, etcd: etcd.url }
  }

  block(from: Part, to: Part): void {
    if (to === 'etcd') this.#etcd.get(from as number)?.set({ holdsRequests: true })
    else if (from === 'etcd') this.#etcd.get(to as number)?.set({ holdsAnswers: true })
    else {
      if (to !== 'fronts') this.#nodes.get(to)?.set({ holdsRequests: true }, senderName(from))
      if (from !== 'fronts') this.#nodes.get(from)?.set({ holdsAnswers: true }, senderName(to))
    }
  }

  /** On all links between nodes, and from fronts to nodes. */
  disturb(faults: LinkFaults): void {
    for (const proxy of this.#nodes.values()) proxy.set(faults)
  }

  breakAll(): void {
    for (const proxy of this.#nodes.values()) proxy.breakAll()
  }

  heal(): void {
    for (const proxy of [...this.#nodes.values(), ...this.#etcd.values()]) proxy.mend()
  }

  async close(): Promise<void> {
    this.heal()
    await Promise.all([...this.#nodes.values(), ...this.#etcd.values()].map((p) => p.close()))
  }
}

/** As the nodes call themselves in their calls. */
function senderName(part: number | 'fronts'): string {
  return part === 'fronts' ? 'front' : String(part)
}

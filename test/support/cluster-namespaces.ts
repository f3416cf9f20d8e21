/**
 * Storage nodes in networks of their own, joined by a bridge, with packets dropped where a test says:
 * neither side is told. Needs root, iproute2 and nftables; etcd and the fronts stay outside.
 */
import { execFileSync } from 'node:child_process'
import process from 'node:process'
import type { ClusterNetwork, Part } from './cluster-network.ts'
import { addNamespace, removeNamespace } from './network-namespace.ts'

const run = (command: string, ...args: string[]): string =>
  execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })

export class ClusterNamespaces implements ClusterNetwork {
  /** Where etcd and the fronts are, seen from the nodes. */
  readonly outside: string
  readonly #prefix = `cwc${process.pid}`
  readonly #network = `198.19.${process.pid % 250}`
  readonly #nodes = new Map<number, string>()
  /** Of the etcd outside, when it is known. */
  etcdPort = 0

  constructor(nodeIds: readonly number[]) {
    this.outside = `${this.#network}.254`
    run('ip', 'link', 'add', this.#prefix, 'type', 'bridge')
    try {
      run('ip', 'address', 'add', `${this.outside}/24`, 'dev', this.#prefix)
      run('ip', 'link', 'set', this.#prefix, 'up')
      for (const nodeId of nodeIds) this.#add(nodeId)
    } catch (error) {
      this.remove()
      throw error
    }
  }

  address(nodeId: number): string {
    return `${this.#network}.${nodeId}`
  }

  /** The leading words of a command that is to run where the node is. */
  command(nodeId: number): readonly string[] {
    return ['ip', 'netns', 'exec', this.#name(nodeId)]
  }

  /** Packets are dropped where the storage node is: on its way in, or out towards what is outside. */
  block(from: Part, to: Part): void {
    if (typeof to === 'number') {
      const source = `ip saddr ${typeof from === 'number' ? this.address(from) : this.outside}`
      this.#drop(to, 'input', from === 'etcd' ? `${source} tcp sport ${this.etcdPort}` : source)
    } else if (typeof from === 'number') {
      const way = `ip daddr ${this.outside}`
      this.#drop(from, 'output', to === 'etcd' ? `${way} tcp dport ${this.etcdPort}` : way)
    }
  }

  heal(): void {
    for (const name of this.#nodes.values()) {
      run('ip', 'netns', 'exec', name, 'nft', 'flush', 'ruleset')
    }
  }

  remove(): void {
    for (const name of this.#nodes.values()) removeNamespace(name, name)
    this.#nodes.clear()
    run('ip', 'link', 'delete', this.#prefix)
  }

  #name(nodeId: number): string {
    return `${this.#prefix}n${nodeId}`
  }

  #add(nodeId: number): void {
    const name = this.#name(nodeId)
    addNamespace(name, name)
    this.#nodes.set(nodeId, name)
    run('ip', 'link', 'set', name, 'master', this.#prefix, 'up')
    const inside = ['netns', 'exec', name, 'ip']
    run('ip', ...inside, 'address', 'add', `${this.address(nodeId)}/24`, 'dev', 'outside')
    run('ip', ...inside, 'link', 'set', 'outside', 'up')
    run('ip', ...inside, 'link', 'set', 'lo', 'up')
  }

  #drop(nodeId: number, hook: 'input' | 'output', rule: string): void {
    run(
      'ip',
      ...['netns', 'exec', this.#name(nodeId), 'nft'],
      `table inet cut {
         chain ${hook} { type filter hook ${hook} priority 0; ${rule} drop; }
       }`,
    )
  }
}

/** Why this machine cannot join networks; undefined when it can. */
export function clusterNamespacesObstacle(): string | undefined {
  let networks: ClusterNamespaces | undefined
  try {
    networks = new ClusterNamespaces([1])
    networks.block('fronts', 1)
    return
  } catch (error) {
    return error instanceof Error ? error.message.trim() : String(error)
  } finally {
    networks?.remove()
  }
}

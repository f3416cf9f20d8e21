/**
 * A network of its own for one process, reached over a pair of virtual links that can be cut without
 * either side being told. Needs root, iproute2 and nftables; `namespaceObstacle` says what is missing.
 */
import { execFileSync } from 'node:child_process'
import process from 'node:process'

const run = (command: string, ...args: string[]): string =>
  execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })

export class NetworkNamespace {
  readonly name: string
  /** Where a process inside is reached from outside. */
  readonly address: string
  readonly #link: string

  /** Of the addresses 198.18.0.0/15, which are for tests of networks (RFC 2544). */
  constructor() {
    const number = process.pid % 16_000
    this.name = `curlew${process.pid}`
    this.#link = `cw${process.pid}`
    const network = `198.18.${number >> 6}.${(number & 63) << 2}`
    const [first, second] = [addressIn(network, 1), addressIn(network, 2)]
    this.address = second
    addNamespace(this.name, this.#link)
    run('ip', 'address', 'add', `${first}/30`, 'dev', this.#link)
    run('ip', 'link', 'set', this.#link, 'up')
    this.inside('ip', 'address', 'add', `${second}/30`, 'dev', 'outside')
    this.inside('ip', 'link', 'set', 'outside', 'up')
    this.inside('ip', 'link', 'set', 'lo', 'up')
  }

  /** The leading words of a command that is to run inside. */
  get command(): readonly string[] {
    return ['ip', 'netns', 'exec', this.name]
  }

  /** Runs a command inside, to its end. */
  inside(...args: string[]): string {
    return run('ip', 'netns', 'exec', this.name, ...args)
  }

  setKernel(setting: string, value: number): void {
    this.inside('sh', '-c', `echo ${value} > /proc/sys/${setting}`)
  }

  /** From now on nothing passes in or out, and nobody is told. */
  cut(): void {
    this.inside(
      'nft',
      `table inet cut {
         chain in { type filter hook input priority 0; iifname "outside" drop; }
         chain out { type filter hook output priority 0; oifname "outside" drop; }
       }`,
    )
  }

  mend(): void {
    this.inside('nft', 'flush ruleset')
  }

  remove(): void {
    removeNamespace(this.name, this.#link)
  }
}

/** A namespace whose end of the link is named `outside`. */
export function addNamespace(name: string, link: string): void {
  run('ip', 'netns', 'add', name)
  try {
    run('ip', 'link', 'add', link, 'type', 'veth', 'peer', 'name', 'outside', 'netns', name)
  } catch (error) {
    run('ip', 'netns', 'delete', name)
    throw error
  }
}

/** The link first: with its namespace it would go some time later, and its name be taken until then. */
export function removeNamespace(name: string, link: string): void {
  run('ip', 'link', 'delete', link)
  run('ip', 'netns', 'delete', name)
}

/** Why this machine cannot make and cut a network; undefined when it can. */
export function namespaceObstacle(): string | undefined {
  let network: NetworkNamespace | undefined
  try {
    network = new NetworkNamespace()
    network.cut()
    return
  } catch (error) {
    return error instanceof Error ? error.message.trim() : String(error)
  } finally {
    network?.remove()
  }
}

function addressIn(network: string, host: number): string {
  const end = network.lastIndexOf('.') + 1
  return network.slice(0, end) + String(Number(network.slice(end)) + host)
}

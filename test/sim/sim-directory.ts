/** Names in a simulated folder: as a process sees them, as they are on the platter, and the changes between. */
import type { Random } from '../../src/env/random.ts'
import type { SimFile } from './sim-file.ts'

export type SimNode = SimFile | SimDirectory

/** One change of names; a rename is one change in two places and is kept or lost as a whole. */
export interface NameChange {
  readonly moves: readonly {
    readonly directory: SimDirectory
    readonly name: string
    readonly node: SimNode | undefined
  }[]
}

export class SimDirectory {
  #current = new Map<string, SimNode>()
  readonly #durable = new Map<string, SimNode>()
  #pending: NameChange[] = []

  get(name: string): SimNode | undefined {
    return this.#current.get(name)
  }

  names(): string[] {
    return [...this.#current.keys()].sort((a, b) => (a < b ? -1 : 1))
  }

  nodes(): Iterable<SimNode> {
    return this.#current.values()
  }

  get unsynced(): number {
    return this.#pending.length
  }

  sync(): void {
    for (const change of this.#pending.slice()) SimDirectory.#harden(change)
  }

  crash(random: Random): void {
    for (const change of this.#pending.slice()) {
      if (random.float() < 0.5) SimDirectory.#harden(change)
      else for (const move of change.moves) move.directory.#drop(change)
    }
    this.#current = new Map(this.#durable)
    for (const node of this.#current.values()) node.crash(random)
  }

  static change(change: NameChange): void {
    for (const { directory, name, node } of change.moves) {
      if (node === undefined) directory.#current.delete(name)
      else directory.#current.set(name, node)
      if (!directory.#pending.includes(change)) directory.#pending.push(change)
    }
  }

  #drop(change: NameChange): void {
    this.#pending = this.#pending.filter((one) => one !== change)
  }

  static #harden(change: NameChange): void {
    for (const { directory, name, node } of change.moves) {
      if (node === undefined) directory.#durable.delete(name)
      else directory.#durable.set(name, node)
      directory.#drop(change)
    }
  }
}

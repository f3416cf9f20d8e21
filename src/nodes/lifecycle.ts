/** What was started, to be stopped in the reverse order. */
export type Stop = () => Promise<void> | void

export class Lifecycle {
  isDraining: boolean = false
  readonly #stops: Stop[] = []

  started(stop: Stop): void {
    this.#stops.push(stop)
  }

  async stop(): Promise<void> {
    for (let stop = this.#stops.pop(); stop !== undefined; stop = this.#stops.pop()) await stop()
  }
}

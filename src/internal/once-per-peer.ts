/** Lets a message through once for each peer, so that one that calls again and again fills no log. */

/** Beyond so many nothing is let through: whoever makes up names shall not fill the log either. */
const PEERS_MAX = 1024

export class OncePerPeer {
  readonly #known = new Set<string>()

  isFirst(peer: string): boolean {
    if (this.#known.size >= PEERS_MAX || this.#known.has(peer)) return false
    this.#known.add(peer)
    return true
  }
}

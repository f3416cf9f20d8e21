/**
 * Remembers which calls were taken, so that none is taken twice. Each sending process numbers its
 * calls; a window of the latest numbers is kept for each. What falls out of a window, or belongs to
 * a sender that was silent for so long that its calls are stale, is refused without being remembered.
 */

/** How many later calls of the same sender may overtake one. */
const WINDOW = 4096
const WORD_BITS = 32

interface Session {
  highest: number
  /** One bit for each of the latest numbers, at its remainder by the window. */
  readonly seen: Uint32Array
  /** The latest time that one of its calls was signed with. */
  signedAtMs: number
}

export class ReplayMemory {
  readonly #maxSessions: number
  readonly #staleAfterMs: number
  readonly #sessions = new Map<string, Session>()

  constructor(options: { readonly maxSessions: number; readonly staleAfterMs: number }) {
    this.#maxSessions = options.maxSessions
    this.#staleAfterMs = options.staleAfterMs
  }

  /** For calls that are authentic and not stale; `full`: it cannot be told. */
  take(call: SignedCall, nowMs: number): 'new' | 'seen' | 'full' {
    let session = this.#sessions.get(call.session)
    if (session === undefined) {
      if (this.#sessions.size >= this.#maxSessions) this.#forgetStale(nowMs)
      if (this.#sessions.size >= this.#maxSessions) return 'full'
      const seen = new Uint32Array(WINDOW / WORD_BITS)
      session = { highest: -1, seen, signedAtMs: call.signedAtMs }
      this.#sessions.set(call.session, session)
    }
    session.signedAtMs = Math.max(session.signedAtMs, call.signedAtMs)
    return mark(session, call.number) ? 'new' : 'seen'
  }

  #forgetStale(nowMs: number): void {
    for (const [id, session] of this.#sessions) {
      if (session.signedAtMs + this.#staleAfterMs < nowMs) this.#sessions.delete(id)
    }
  }
}

export interface SignedCall {
  /** Of the sending process; random. */
  readonly session: string
  /** Of the call; ascending within the session. */
  readonly number: number
  readonly signedAtMs: number
}

/** False if the number was marked before, or may have been. */
function mark(session: Session, number: number): boolean {
  const { seen, highest } = session
  if (number <= highest - WINDOW) return false
  if (number > highest) {
    if (number - highest >= WINDOW) seen.fill(0)
    else for (let skipped = highest + 1; skipped < number; skipped++) clearBit(seen, skipped)
    clearBit(seen, number)
    session.highest = number
  }
  const bit = number % WINDOW
  const word = Math.floor(bit / WORD_BITS)
  const mask = 1 << (bit % WORD_BITS)
  if (((seen[word] as number) & mask) !== 0) return false
  seen[word] = (seen[word] as number) | mask
  return true
}

function clearBit(seen: Uint32Array, number: number): void {
  const bit = number % WINDOW
  const word = Math.floor(bit / WORD_BITS)
  seen[word] = (seen[word] as number) & ~(1 << (bit % WORD_BITS))
}

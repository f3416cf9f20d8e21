/**
 * Proves that a call comes from a node that knows the cluster's secret, is as it was sent, is recent
 * and was not taken before. HMAC-SHA256 over path, identity headers, time, a number that is used
 * once, and the SHA-256 of the body:
 *   curlew-auth: <time ms>.<session, hex>.<number>.<body hash, base64url>.<signature, base64url>
 */
import { createHash, hash, timingSafeEqual } from 'node:crypto'
import type { Clock } from '../env/clock.ts'
import type { Random } from '../env/random.ts'
import { assert } from '../lib/assert.ts'
import { ServiceError } from '../lib/service-error.ts'
import { Hmac } from './hmac.ts'
import type { HeaderMap } from './identity.ts'
import { HEADERS, parseCount } from './identity.ts'
import { InternalRefusal } from './internal-refusal.ts'
import { ReplayMemory } from './replay-memory.ts'

/** How far the clocks of two nodes, and the way between them, may be apart. */
const WINDOW_MS = 5 * 60_000
/** Processes that may speak to this one within the window. */
const MAX_SESSIONS = 4096
const SESSION_BYTES = 12
const SIGNATURE_BYTES = 32
/** In place of a body's hash where bodies are not signed. */
const UNSIGNED = '-'
/** To copy so much costs less than a hash that takes its input in parts. */
const MAX_JOINED_BYTES = 16 * 1024
/** Known to everybody: the signature then finds nodes that are set up differently, and nothing else. */
const NO_SECRET = 'no secret'
const FORMAT =
  /^(\d{1,15})\.([0-9a-f]{24})\.(\d{1,15})\.([A-Za-z0-9_-]{1,43})\.([A-Za-z0-9_-]{43})$/

export interface RequestSignatureOptions {
  /** The same in the whole cluster. May be empty where bodies are not signed: TLS proves who calls. */
  readonly secret: string
  /**
   * Whether bodies are signed too; the same in the whole cluster. They may be left out only where
   * TLS protects them. True if absent.
   */
  readonly signBodies?: boolean
}

export class RequestSignature {
  readonly #clock: Clock
  readonly #hmac: Hmac
  readonly #signBodies: boolean
  readonly #session: string
  #number = 0
  readonly #replays = new ReplayMemory({ maxSessions: MAX_SESSIONS, staleAfterMs: WINDOW_MS })

  constructor(deps: { clock: Clock; random: Random }, options: RequestSignatureOptions) {
    const { secret, signBodies = true } = options
    assert(secret.length > 0 || !signBodies, 'a cluster has a secret, or mutual TLS')
    this.#clock = deps.clock
    this.#hmac = new Hmac(secret === '' ? NO_SECRET : secret)
    this.#signBodies = signBodies
    this.#session = Buffer.from(deps.random.bytes(SESSION_BYTES)).toString('hex')
  }

  /** The value of the header; each call needs a new one. */
  sign(path: string, headers: HeaderMap, body: readonly Uint8Array[]): string {
    const bodyHash = this.#signBodies ? hashOf(body) : UNSIGNED
    const once = `${this.#clock.nowMs()}.${this.#session}.${this.#number++}.${bodyHash}`
    return `${once}.${this.#mac(path, headers, once).toString('base64url')}`
  }

  /**
   * Checks all but the body, which has not arrived yet; gives what `checkBody` needs for that.
   * @throws InternalRefusal `bad-signature`, `stale-call`, `replayed-call`
   * @throws ServiceError `overloaded` when too many processes call
   */
  check(path: string, headers: HeaderMap): string {
    const parts = FORMAT.exec(headers[HEADERS.auth] ?? '')
    if (parts === null) throw new InternalRefusal('bad-signature', 'The call is not signed.')
    const [text, time = '', session = '', number = '', bodyHash = '', mac = ''] = parts
    const once = text.slice(0, -mac.length - 1)
    const given = Buffer.from(mac, 'base64url')
    const isSigned =
      given.length === SIGNATURE_BYTES &&
      timingSafeEqual(given, this.#mac(path, headers, once)) &&
      (bodyHash === UNSIGNED) === !this.#signBodies
    if (!isSigned) throw new InternalRefusal('bad-signature', 'The signature is not right.')
    const nowMs = this.#clock.nowMs()
    const signedAtMs = Number(time)
    if (Math.abs(nowMs - signedAtMs) > WINDOW_MS) {
      throw new InternalRefusal('stale-call', `The call was signed ${nowMs - signedAtMs} ms ago.`)
    }
    const call = { session, number: parseCount(number) ?? 0, signedAtMs }
    const taken = this.#replays.take(call, nowMs)
    if (taken === 'full') throw new ServiceError('overloaded', 'too many processes call this node')
    if (taken === 'seen') throw new InternalRefusal('replayed-call', 'The call was taken before.')
    return bodyHash
  }

  /** @throws InternalRefusal `bad-signature` */
  checkBody(bodyHash: string, body: Uint8Array): void {
    if (this.#signBodies && hash('sha256', body, 'base64url') !== bodyHash) {
      throw new InternalRefusal('bad-signature', 'The body is not the one that was signed.')
    }
  }

  #mac(path: string, headers: HeaderMap, once: string): Buffer {
    const signed = `curlew\n${path}\n${headers[HEADERS.cluster]}\n${headers[HEADERS.node]}\n${headers[HEADERS.incarnation]}\n${headers[HEADERS.target]}\n${headers[HEADERS.protocol]}\n${headers[HEADERS.deadline]}\n${once}`
    return this.#hmac.of(signed)
  }
}

function hashOf(body: readonly Uint8Array[]): string {
  let bytes = 0
  for (const part of body) bytes += part.length
  if (bytes <= MAX_JOINED_BYTES) {
    const [only] = body
    const whole = only !== undefined && body.length === 1 ? only : Buffer.concat(body, bytes)
    return hash('sha256', whole, 'base64url')
  }
  const sum = createHash('sha256')
  for (const part of body) sum.update(part)
  return sum.digest('base64url')
}

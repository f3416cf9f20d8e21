/**
 * The receiving side of the internal protocol, whatever the transport: checks who calls and whom they
 * mean, then hands the call to what is registered for its path. Every refusal is a definite no.
 */
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import { ByteBudget } from '../lib/byte-budget.ts'
import { ServiceError } from '../lib/service-error.ts'
import { MalformedMessage } from '../wire/message.ts'
import { errorAnswer } from './error-answer.ts'
import { gatherBody } from './gather-body.ts'
import type { InternalIdentity, Sender } from './identity.ts'
import { ANY_CLUSTER, HEADERS, PROTOCOL_VERSION, parseCount, parseSender } from './identity.ts'
import type {
  CallReceiver,
  IncomingCall,
  InternalHandler,
  InternalReply,
  OutgoingAnswer,
  RegisterOptions,
} from './internal-handler.ts'
import { InternalRefusal } from './internal-refusal.ts'
import { OncePerPeer } from './once-per-peer.ts'
import type { RequestSignature } from './request-signature.ts'

export interface InternalServiceDeps {
  readonly clock: Clock
  readonly logger: Logger
  readonly signature: RequestSignature
  readonly identity: InternalIdentity
}

export interface InternalServiceOptions {
  /** Upper bound of one body; 64 MiB. */
  readonly maxBodyBytes?: number
  /** Upper bound of the bodies of all calls under way; 256 MiB. */
  readonly maxHeldBytes?: number
}

interface Registered {
  readonly handler: InternalHandler
  readonly bootstrap: boolean
}

/** A call that has passed the checks; its body has not been read. */
interface Admitted {
  readonly handler: InternalHandler
  readonly sender: Sender
  readonly bodyHash: string
  readonly deadlineMs: number
}

const MIB = 1024 * 1024
const BINARY = 'application/octet-stream'

export class InternalService implements CallReceiver {
  readonly #deps: InternalServiceDeps
  readonly #maxBodyBytes: number
  readonly #budget: ByteBudget
  readonly #handlers = new Map<string, Registered>()
  readonly #refused = new OncePerPeer()
  #draining: boolean = false
  #underWay = 0

  constructor(deps: InternalServiceDeps, options: InternalServiceOptions = {}) {
    this.#deps = deps
    this.#maxBodyBytes = options.maxBodyBytes ?? 64 * MIB
    this.#budget = new ByteBudget(options.maxHeldBytes ?? 256 * MIB)
  }

  /** Calls that are not answered to their end. */
  get underWay(): number {
    return this.#underWay
  }

  /** Bytes of bodies that are held for them. */
  get heldBytes(): number {
    return this.#budget.used
  }

  register(path: string, handler: InternalHandler, options: RegisterOptions = {}): void {
    this.#handlers.set(path, { handler, bootstrap: options.bootstrap ?? false })
  }

  drain(): void {
    this.#draining = true
  }

  async handle(call: IncomingCall): Promise<OutgoingAnswer> {
    let heldBytes = 0
    this.#underWay++
    const end = () => {
      this.#budget.release(heldBytes)
      heldBytes = 0
      this.#underWay--
    }
    try {
      const { handler, sender, bodyHash, deadlineMs } = this.#admit(call)
      const body = await gatherBody(call.body, {
        expectedBytes: parseCount(call.headers['content-length']),
        limitBytes: this.#maxBodyBytes,
        reserve: (bytes) => {
          if (!this.#budget.tryAcquire(bytes)) throw tooManyBodies()
          heldBytes += bytes
        },
      })
      this.#deps.signature.checkBody(bodyHash, body)
      if (this.#deps.clock.monotonicMs() >= deadlineMs) throw deadlinePassed()
      const reply = await handler({ sender, body, deadlineMs, signal: call.signal })
      return answerOf(reply, call.signal, end)
    } catch (error) {
      end()
      return this.#errorAnswer(call, error)
    }
  }

  #admit({ path, headers }: IncomingCall): Admitted {
    const { identity, signature, clock } = this.#deps
    // Whoever does not even claim to know the secret learns nothing of this node.
    if (headers[HEADERS.auth] === undefined) {
      throw new InternalRefusal('bad-signature', 'The call is not signed.')
    }
    if (this.#draining) throw new ServiceError('draining', 'the node is shutting down')
    const protocol = headers[HEADERS.protocol]
    if (protocol !== PROTOCOL_VERSION) {
      throw new InternalRefusal('other-protocol', `This node speaks version ${PROTOCOL_VERSION}.`)
    }
    const bodyHash = signature.check(path, headers)
    const sender = parseSender(headers)
    const target = parseCount(headers[HEADERS.target])
    const leftMs = parseCount(headers[HEADERS.deadline])
    if (sender === undefined || target === undefined || leftMs === undefined) {
      throw new InternalRefusal('malformed-call', 'The identity headers are not complete.')
    }
    const registered = this.#handlers.get(path)
    if (registered === undefined) {
      throw new InternalRefusal('unknown-path', `Nothing is served at ${path}.`)
    }
    const { handler, bootstrap } = registered
    const cluster = headers[HEADERS.cluster]
    if (cluster !== identity.clusterId && !(bootstrap && cluster === ANY_CLUSTER)) {
      throw new InternalRefusal('other-cluster', 'This node belongs to another cluster.')
    }
    if (!(target === 0 ? bootstrap : target === identity.incarnation)) {
      throw new InternalRefusal('other-incarnation', 'This node is not the one that is meant.')
    }
    if (leftMs === 0) throw deadlinePassed()
    return { handler, sender, bodyHash, deadlineMs: clock.monotonicMs() + leftMs }
  }

  #errorAnswer(call: IncomingCall, thrown: unknown): OutgoingAnswer {
    const { logger } = this.#deps
    const error = thrown instanceof MalformedMessage ? malformed(thrown) : thrown
    const known = error instanceof InternalRefusal || error instanceof ServiceError
    if (error instanceof InternalRefusal) {
      const node = (call.headers[HEADERS.node] ?? 'nobody').slice(0, 20)
      if (this.#refused.isFirst(`${error.code} ${node}`)) {
        logger.warn({ code: error.code, node, path: call.path }, `refused a call: ${error.message}`)
      }
    } else if (!known && !call.signal.aborted) {
      logger.error({ err: error, path: call.path }, 'an internal call failed')
    }
    const { status, body } = errorAnswer(
      known ? error : new ServiceError('internal-error', 'the call failed; the log says why'),
    )
    return { status, headers: headersOf('application/json', body.length), body: [body] }
  }
}

function answerOf(reply: InternalReply, signal: AbortSignal, end: () => void): OutgoingAnswer {
  if ('stream' in reply) {
    const body = untilEnd(reply.stream, signal, end)
    return { status: 200, headers: { 'content-type': BINARY }, body }
  }
  let bytes = 0
  for (const part of reply.parts) bytes += part.length
  end()
  return { status: 200, headers: headersOf(BINARY, bytes), body: reply.parts }
}

/** Calls `end` when the stream is through or left, or when the caller is gone before it was begun. */
function untilEnd(
  stream: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  end: () => void,
): AsyncIterable<Uint8Array> {
  let ended = false
  const once = () => {
    signal.removeEventListener('abort', once)
    if (!ended) end()
    ended = true
  }
  signal.addEventListener('abort', once)
  if (signal.aborted) once()
  return {
    [Symbol.asyncIterator]() {
      const iterator = stream[Symbol.asyncIterator]()
      return {
        async next() {
          try {
            const result = await iterator.next()
            if (result.done === true) once()
            return result
          } catch (error) {
            once()
            throw error
          }
        },
        async return() {
          once()
          await iterator.return?.()
          return { done: true, value: undefined }
        },
      }
    },
  }
}

function headersOf(type: string, bytes: number): Record<string, string> {
  return { 'content-type': type, 'content-length': String(bytes) }
}

function malformed(error: MalformedMessage): InternalRefusal {
  return new InternalRefusal('malformed-call', `The body cannot be read: ${error.message}.`)
}

function tooManyBodies(): ServiceError {
  return new ServiceError('overloaded', 'the bodies of internal calls use all the memory they may')
}

function deadlinePassed(): InternalRefusal {
  return new InternalRefusal('deadline-passed', 'The caller no longer waits; nothing was begun.')
}

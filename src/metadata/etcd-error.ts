/** What etcd says when it does not do what was asked, and what is certain then. */

import { ServiceError } from '../lib/service-error.ts'

/** gRPC's status codes, of which the gateway tells. */
const CODE = {
  unknown: 2,
  invalidArgument: 3,
  notFound: 5,
  permissionDenied: 7,
  failedPrecondition: 9,
  outOfRange: 11,
  unimplemented: 12,
  unauthenticated: 16,
}

/**
 * `refused`: nothing was done, and every member would say so. `refused-here`: nothing was done, but
 * another member may do it. `token`: nothing was done, for want of a valid token. `unknown`: it may
 * have been done, or be done yet.
 */
export type EtcdFate = 'refused' | 'refused-here' | 'token' | 'unknown'

const TOKEN_MESSAGES = [
  'etcdserver: invalid auth token',
  'etcdserver: user name is empty',
  'etcdserver: revision of auth store is old',
]
/**
 * Said before anything is proposed. That the space is used up is not among them: a member may say so
 * of a transaction which it has just applied.
 */
const REFUSALS_OF_A_MEMBER = [
  'etcdserver: no leader',
  'etcdserver: too many requests',
  'etcdserver: rpc not supported for learner',
]

export class EtcdError extends Error {
  override readonly name = 'EtcdError'
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }

  get fate(): EtcdFate {
    const { code, message } = this
    if (TOKEN_MESSAGES.includes(message)) return 'token'
    if (REFUSALS_OF_A_MEMBER.includes(message)) return 'refused-here'
    switch (code) {
      case CODE.unauthenticated:
        return 'token'
      case CODE.invalidArgument:
      case CODE.notFound:
      case CODE.permissionDenied:
      case CODE.failedPrecondition:
      case CODE.outOfRange:
      case CODE.unimplemented:
        return 'refused'
      default:
        return 'unknown'
    }
  }

  get isLeaseGone(): boolean {
    return this.code === CODE.notFound && this.message.includes('lease')
  }

  get isCompacted(): boolean {
    return this.code === CODE.outOfRange && this.message.includes('compacted')
  }

  get isWithoutAuth(): boolean {
    return this.code === CODE.failedPrecondition && this.message.includes('not enabled')
  }
}

/**
 * The error in an answer. `{error, message, code}` up to 3.5, `{code, message}` since 3.6; in a stream
 * `{error: {grpc_code, message}}` or `{error: {code, message}}`; anything else is not from etcd.
 */
export function etcdErrorOf(status: number, text: string): EtcdError {
  const answer = parseObject(text)
  const inStream = answer['error']
  const { code, grpc_code, message } = isObject(inStream) ? inStream : answer
  const number = grpc_code ?? code
  if (typeof number !== 'number' || typeof message !== 'string') {
    return new EtcdError(CODE.unknown, `HTTP status ${status}: ${text.slice(0, 200).trim()}`)
  }
  return new EtcdError(number, message)
}

/** A refusal in the words that callers know: certainly nothing was done. Other errors stay what they are. */
export function serviceErrorOf(error: unknown): unknown {
  if (!(error instanceof EtcdError)) return error
  const detail = `etcd refused: ${error.message}`
  return error.code === CODE.invalidArgument
    ? new ServiceError('internal-error', detail, { committed: 'no', cause: error })
    : new ServiceError('metadata-unavailable', detail, { cause: error })
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : {}
  } catch {
    return {}
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

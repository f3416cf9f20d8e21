/**
 * Requests and answers of etcd's v3 JSON gateway, typed. It ignores members that it does not know and
 * takes missing ones for zero, so requests are built here only; answers leave out what is zero.
 *
 *   bytes     standard base64
 *   int64     decimal text; lease ids exceed 2^53 and stay text, revisions become safe integers
 */
import type { Compare, Entry, Transaction, TransactionOutcome } from './metadata-store.ts'

export interface GatewayRequest<Answer> {
  readonly path: string
  readonly body: string
  /** @throws TypeError when it is not an answer to this request */
  readonly decode: (answer: unknown) => Answer
}

export interface RangeAnswer {
  /** Of the store when it answered. */
  readonly revision: number
  readonly entries: readonly Entry[]
  /** Whether there are more behind the last. */
  readonly more: boolean
}

export interface GrantedLease {
  readonly id: string
  readonly ttlSeconds: number
}

export interface WatchEvent {
  readonly key: string
  readonly revision: number
  readonly entry: Entry | undefined
}

export interface WatchMessage {
  readonly isCreated: boolean
  /** Why etcd ended the watch; undefined while it goes on. */
  readonly canceled: string | undefined
  /** Above 0: history before it is gone, and with it the start of the watch. */
  readonly compactRevision: number
  readonly events: readonly WatchEvent[]
}

/** Where the keys of one cluster are in etcd: all behind a prefix, which callers do not see. */
export class EtcdKeys {
  readonly #prefix: string

  /** @param prefix begins with a slash and does not end with one; or is empty */
  constructor(prefix: string) {
    this.#prefix = prefix
  }

  encode(key: string): string {
    return toBase64(this.#prefix + key)
  }

  /** All keys that begin with `prefix`, which ends in ASCII below 0x7f. */
  encodeRange(prefix: string): { key: string; range_end: string } {
    const first = this.#prefix + prefix
    const last = first.charCodeAt(first.length - 1)
    const end = first.slice(0, -1) + String.fromCharCode(last + 1)
    return { key: toBase64(first), range_end: toBase64(end) }
  }

  decode(encoded: unknown): string {
    const key = fromBase64(encoded)
    if (!key.startsWith(this.#prefix)) throw new TypeError(`the key ${key} was not asked for`)
    return key.slice(this.#prefix.length)
  }
}

export function getRequest(keys: EtcdKeys, key: string): GatewayRequest<RangeAnswer> {
  return rangeRequest(keys, { key: keys.encode(key) })
}

/** One page of a list: keys from `after` (exclusive) on, as they were at `revision` (0: now). */
export function listRequest(
  keys: EtcdKeys,
  page: {
    readonly prefix: string
    readonly after: string | undefined
    readonly limit: number
    readonly revision: number
  },
): GatewayRequest<RangeAnswer> {
  const range = keys.encodeRange(page.prefix)
  return rangeRequest(keys, {
    ...range,
    ...(page.after === undefined ? {} : { key: keys.encode(`${page.after}\0`) }),
    limit: `${page.limit}`,
    ...(page.revision === 0 ? {} : { revision: `${page.revision}` }),
  })
}

function rangeRequest(keys: EtcdKeys, range: object): GatewayRequest<RangeAnswer> {
  return {
    path: '/v3/kv/range',
    body: JSON.stringify(range),
    decode: (answer) => {
      const fields = asObject(answer)
      return {
        revision: revisionOf(fields),
        entries: asArray(fields['kvs']).map((kv) => decodeEntry(keys, asObject(kv))),
        more: fields['more'] === true,
      }
    },
  }
}

export function transactRequest(
  keys: EtcdKeys,
  { compare, put, remove = [] }: Transaction,
): GatewayRequest<TransactionOutcome> {
  const puts = put.map(({ key, value, leaseId }) => ({
    request_put: {
      key: keys.encode(key),
      value: toBase64(value),
      ...(leaseId === undefined ? {} : { lease: leaseId }),
    },
  }))
  const removals = remove.map((key) => ({ request_delete_range: { key: keys.encode(key) } }))
  return {
    path: '/v3/kv/txn',
    body: JSON.stringify({
      compare: compare.map((condition) => encodeCompare(keys, condition)),
      success: [...puts, ...removals],
    }),
    decode: (answer) => {
      const fields = asObject(answer)
      return { succeeded: fields['succeeded'] === true, revision: revisionOf(fields) }
    },
  }
}

function encodeCompare(keys: EtcdKeys, { key, target, equals }: Compare): object {
  const operand =
    target === 'createRevision'
      ? { target: 'CREATE', create_revision: `${equals}` }
      : { target: 'MOD', mod_revision: `${equals}` }
  return { result: 'EQUAL', key: keys.encode(key), ...operand }
}

export function grantLeaseRequest(ttlSeconds: number): GatewayRequest<GrantedLease> {
  return {
    path: '/v3/lease/grant',
    body: JSON.stringify({ TTL: `${ttlSeconds}`, ID: '0' }),
    decode: (answer) => {
      const fields = asObject(answer)
      if (typeof fields['error'] === 'string') throw new TypeError(fields['error'])
      return { id: asInt64Text(fields['ID']), ttlSeconds: asInteger(fields['TTL']) }
    },
  }
}

/** The answer is whether the lease lives: a dead one is told by the absence of its TTL, with status 200. */
export function keepAliveRequest(leaseId: string): GatewayRequest<boolean> {
  return {
    path: '/v3/lease/keepalive',
    body: JSON.stringify({ ID: leaseId }),
    decode: (answer) => asInteger(asObject(asObject(answer)['result'])['TTL']) > 0,
  }
}

export function revokeLeaseRequest(leaseId: string): GatewayRequest<void> {
  return {
    path: '/v3/lease/revoke',
    body: JSON.stringify({ ID: leaseId }),
    decode: (answer) => void asObject(answer),
  }
}

export function authenticateRequest(name: string, password: string): GatewayRequest<string> {
  return {
    path: '/v3/auth/authenticate',
    body: JSON.stringify({ name, password }),
    decode: (answer) => {
      const token = asObject(answer)['token']
      if (typeof token !== 'string' || token === '') throw new TypeError('no token was given')
      return token
    },
  }
}

/** Each line of the answer is one message. */
export function watchRequest(
  keys: EtcdKeys,
  prefix: string,
  fromRevision: number,
): GatewayRequest<WatchMessage> {
  return {
    path: '/v3/watch',
    body: JSON.stringify({
      create_request: {
        ...keys.encodeRange(prefix),
        // Zero would mean from now on.
        start_revision: `${Math.max(1, fromRevision)}`,
        progress_notify: true,
      },
    }),
    decode: (answer) => decodeWatchMessage(keys, answer),
  }
}

function decodeWatchMessage(keys: EtcdKeys, answer: unknown): WatchMessage {
  const result = asObject(asObject(answer)['result'])
  const reason = result['cancel_reason']
  const canceled = typeof reason === 'string' ? reason : 'no reason given'
  return {
    isCreated: result['created'] === true,
    canceled: result['canceled'] === true ? canceled : undefined,
    compactRevision: asInteger(result['compact_revision']),
    events: asArray(result['events']).map((event): WatchEvent => {
      const { type = 'PUT', kv } = asObject(event)
      const fields = asObject(kv)
      const entry = decodeEntry(keys, fields)
      const isRemoval = type === 'DELETE'
      if (!isRemoval && type !== 'PUT') throw new TypeError('an event is of an unknown type')
      return { key: entry.key, revision: entry.modRevision, entry: isRemoval ? undefined : entry }
    }),
  }
}

function decodeEntry(keys: EtcdKeys, kv: Readonly<Record<string, unknown>>): Entry {
  return {
    key: keys.decode(kv['key']),
    value: fromBase64(kv['value'] ?? ''),
    createRevision: asInteger(kv['create_revision']),
    modRevision: asInteger(kv['mod_revision']),
  }
}

function revisionOf(fields: Readonly<Record<string, unknown>>): number {
  const revision = asInteger(asObject(fields['header'])['revision'])
  if (revision === 0) throw new TypeError('an answer has no revision')
  return revision
}

function toBase64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64')
}

function fromBase64(encoded: unknown): string {
  if (typeof encoded !== 'string') throw new TypeError('bytes are not text in base64')
  return Buffer.from(encoded, 'base64').toString('utf8')
}

function asObject(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TypeError('an answer lacks an object')
  }
  return value as Readonly<Record<string, unknown>>
}

function asArray(value: unknown): readonly unknown[] {
  if (value === undefined) return []
  if (!Array.isArray(value)) throw new TypeError('an answer lacks an array')
  return value
}

function asInt64Text(value: unknown): string {
  if (typeof value === 'string' && /^-?[0-9]{1,19}$/.test(value)) return value
  throw new TypeError('an answer lacks an integer')
}

/** Absent means 0. */
function asInteger(value: unknown): number {
  if (value === undefined) return 0
  const number = Number(asInt64Text(value))
  if (!Number.isSafeInteger(number)) throw new TypeError(`${number} is beyond what is exact`)
  return number
}

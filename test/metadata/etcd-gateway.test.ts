import { describe, expect, test } from 'vitest'
import { EtcdError, etcdErrorOf } from '../../src/metadata/etcd-error.ts'
import {
  authenticateRequest,
  EtcdKeys,
  getRequest,
  grantLeaseRequest,
  keepAliveRequest,
  listRequest,
  revokeLeaseRequest,
  transactRequest,
  watchRequest,
} from '../../src/metadata/etcd-gateway.ts'
import { HEADER } from './fake-etcd-http.ts'

const KEYS = new EtcdKeys('/curlew')
const base64 = (text: string) => Buffer.from(text).toString('base64')
const sent = (request: { readonly path: string; readonly body: string }) => [
  request.path,
  JSON.parse(request.body),
]

/** A misspelt member would be ignored by etcd, so requests are held to the letter. */
describe('requests of the gateway', () => {
  test('a key is read by its name behind the prefix', () => {
    expect(sent(getRequest(KEYS, '/topics/a'))).toEqual([
      '/v3/kv/range',
      { key: 'L2N1cmxldy90b3BpY3MvYQ==' },
    ])
  })

  test('a list is a range up to the next prefix, page by page at one revision', () => {
    const first = { prefix: '/', after: undefined, limit: 10, revision: 0 }
    expect(sent(listRequest(KEYS, first))).toEqual([
      '/v3/kv/range',
      { key: base64('/curlew/'), range_end: base64('/curlew0'), limit: '10' },
    ])
    const next = { prefix: '/topics/', after: '/topics/b', limit: 10, revision: 17 }
    expect(sent(listRequest(KEYS, next))).toEqual([
      '/v3/kv/range',
      {
        key: base64('/curlew/topics/b\0'),
        range_end: base64('/curlew/topics0'),
        limit: '10',
        revision: '17',
      },
    ])
  })

  test('a transaction names the target of each compare, also where it is zero', () => {
    const request = transactRequest(KEYS, {
      compare: [
        { key: '/a', target: 'createRevision', equals: 0 },
        { key: '/b', target: 'modRevision', equals: 9_007_199_254_740_991 },
      ],
      put: [
        { key: '/a', value: '"ü"' },
        { key: '/n', value: '1', leaseId: '2324035543560719645' },
      ],
      remove: ['/c'],
    })
    expect(sent(request)).toEqual([
      '/v3/kv/txn',
      {
        compare: [
          { result: 'EQUAL', target: 'CREATE', key: base64('/curlew/a'), create_revision: '0' },
          {
            result: 'EQUAL',
            target: 'MOD',
            key: base64('/curlew/b'),
            mod_revision: '9007199254740991',
          },
        ],
        success: [
          { request_put: { key: base64('/curlew/a'), value: base64('"ü"') } },
          {
            request_put: {
              key: base64('/curlew/n'),
              value: base64('1'),
              lease: '2324035543560719645',
            },
          },
          { request_delete_range: { key: base64('/curlew/c') } },
        ],
      },
    ])
  })

  test('base64 is the standard alphabet with padding', () => {
    const { body } = transactRequest(KEYS, { compare: [], put: [{ key: '/a', value: '~~~??>>' }] })
    expect(body).toContain('"value":"fn5+Pz8+Pg=="')
  })

  test('leases, the token and a watch', () => {
    expect(sent(grantLeaseRequest(10))).toEqual(['/v3/lease/grant', { TTL: '10', ID: '0' }])
    expect(sent(keepAliveRequest('77'))).toEqual(['/v3/lease/keepalive', { ID: '77' }])
    expect(sent(revokeLeaseRequest('77'))).toEqual(['/v3/lease/revoke', { ID: '77' }])
    expect(sent(authenticateRequest('me', 'secret'))).toEqual([
      '/v3/auth/authenticate',
      { name: 'me', password: 'secret' },
    ])
    expect(sent(watchRequest(KEYS, '/', 12))).toEqual([
      '/v3/watch',
      {
        create_request: {
          key: base64('/curlew/'),
          range_end: base64('/curlew0'),
          start_revision: '12',
          progress_notify: true,
        },
      },
    ])
    expect(watchRequest(KEYS, '/', 0).body).toContain('"start_revision":"1"')
  })
})

describe('answers of the gateway', () => {
  test('what is absent is zero, empty or false', () => {
    expect(getRequest(KEYS, '/a').decode({ header: HEADER })).toEqual({
      revision: 7,
      entries: [],
      more: false,
    })
    const transaction = transactRequest(KEYS, { compare: [], put: [] })
    expect(transaction.decode({ header: HEADER })).toEqual({ succeeded: false, revision: 7 })
    expect(transaction.decode({ header: HEADER, succeeded: true }).succeeded).toBe(true)
    const kv = { key: base64('/curlew/a'), create_revision: '3', mod_revision: '4', version: '2' }
    expect(getRequest(KEYS, '/a').decode({ header: HEADER, kvs: [kv], more: true })).toEqual({
      revision: 7,
      entries: [{ key: '/a', value: '', createRevision: 3, modRevision: 4 }],
      more: true,
    })
  })

  test('a lease id stays text; a dead lease has no TTL', () => {
    const granted = { header: HEADER, ID: '7751717524008514572', TTL: '3' }
    expect(grantLeaseRequest(3).decode(granted)).toEqual({
      id: '7751717524008514572',
      ttlSeconds: 3,
    })
    const { decode } = keepAliveRequest('12345')
    expect(decode({ result: { header: HEADER, ID: '12345', TTL: '3' } })).toBe(true)
    expect(decode({ result: { header: HEADER, ID: '12345' } })).toBe(false)
  })

  test('a watch message: created, progress, events, canceled', () => {
    const { decode } = watchRequest(KEYS, '/', 1)
    const none = { isCreated: false, canceled: undefined, compactRevision: 0, events: [] }
    expect(decode({ result: { header: HEADER, created: true } })).toEqual({
      ...none,
      isCreated: true,
    })
    expect(decode({ result: { header: HEADER } })).toEqual(none)
    const key = base64('/curlew/a')
    const kv = { key, create_revision: '5', mod_revision: '5', version: '1', value: base64('1') }
    const events = [{ kv }, { type: 'DELETE', kv: { key, mod_revision: '6' } }]
    expect(decode({ result: { header: HEADER, events } }).events).toEqual([
      {
        key: '/a',
        revision: 5,
        entry: { key: '/a', value: '1', createRevision: 5, modRevision: 5 },
      },
      { key: '/a', revision: 6, entry: undefined },
    ])
    const compacted = { result: { header: {}, canceled: true, compact_revision: '4' } }
    expect(decode(compacted)).toMatchObject({ canceled: 'no reason given', compactRevision: 4 })
    const refused = { canceled: true, created: true, cancel_reason: 'permission denied' }
    expect(decode({ result: refused }).canceled).toBe('permission denied')
  })

  test.each([
    ['a revision beyond what is exact', { header: { ...HEADER, revision: '9007199254740993' } }],
    ['no revision', { header: {} }],
    ['no header', {}],
    ['a list', []],
    ['a key of somebody else', { header: HEADER, kvs: [{ key: base64('/other/a') }] }],
    ['a key that is no text', { header: HEADER, kvs: [{ key: 7 }] }],
    ['keys that are no list', { header: HEADER, kvs: {} }],
  ])('%s is not taken for an answer', (_, body) => {
    expect(() => getRequest(KEYS, '/a').decode(body)).toThrow(TypeError)
  })
})

describe('errors of etcd', () => {
  test.each([
    ['up to 3.5', { error: 'x', message: 'x', code: 5 }],
    ['since 3.6', { code: 5, message: 'x' }],
    ['in a stream, up to 3.5', { error: { grpc_code: 5, http_code: 404, message: 'x' } }],
    ['in a stream, since 3.6', { error: { code: 5, message: 'x', details: [] } }],
  ])('%s', (_, body) => {
    const error = etcdErrorOf(404, JSON.stringify(body))
    expect([error.code, error.message]).toEqual([5, 'x'])
  })

  test('what is not from etcd leaves the outcome open', () => {
    for (const text of ['<html>Bad gateway</html>', '', 'null', '[]', '{"code":"5"}']) {
      const error = etcdErrorOf(502, text)
      expect(error.fate).toBe('unknown')
      expect(error.message).toContain('502')
    }
  })

  test.each([
    [3, 'etcdserver: duplicate key given in txn request', 'refused'],
    [5, 'etcdserver: requested lease not found', 'refused'],
    [7, 'etcdserver: permission denied', 'refused'],
    [8, 'etcdserver: too many requests', 'refused-here'],
    // A member may say so of a transaction that it has applied.
    [8, 'etcdserver: mvcc: database space exceeded', 'unknown'],
    [3, 'etcdserver: user name is empty', 'token'],
    [3, 'etcdserver: revision of auth store is old', 'token'],
    [16, 'etcdserver: invalid auth token', 'token'],
    [14, 'etcdserver: no leader', 'refused-here'],
    [14, 'etcdserver: leader changed', 'unknown'],
    [14, 'etcdserver: request timed out', 'unknown'],
    [4, 'context deadline exceeded', 'unknown'],
  ] as const)('code %i, %s: %s', (code, message, fate) => {
    expect(new EtcdError(code, message).fate).toBe(fate)
  })

  test('a path that is not served is not a lease that is gone', () => {
    expect(new EtcdError(5, 'Not Found').isLeaseGone).toBe(false)
    expect(new EtcdError(5, 'etcdserver: requested lease not found').isLeaseGone).toBe(true)
  })
})

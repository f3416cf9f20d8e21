/** What is said about certificates before anything starts. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { etcdCredentials, nodeCredentials } from '../../src/bin/credentials.ts'
import { NODE, STRANGER } from '../http/tls-credentials.ts'
import type { TempDirectory } from '../support/temp-directory.ts'
import { makeTempDirectory } from '../support/temp-directory.ts'

let directory: TempDirectory
const files = { cert: '', key: '', ca: '', otherKey: '', text: '' }
beforeAll(async () => {
  directory = await makeTempDirectory('credentials')
  const texts = { ...NODE, otherKey: STRANGER.key, text: 'not PEM' }
  for (const name of Object.keys(files) as (keyof typeof files)[]) {
    files[name] = join(directory.path, `${name}.pem`)
    writeFileSync(files[name], texts[name])
  }
})
afterAll(() => directory.remove())

const trust = (given: { cert?: string; key?: string; ca?: string; secret?: string }) => ({
  clusterSecret: given.secret ?? '',
  tlsCert: given.cert ?? '',
  tlsKey: given.key ?? '',
  tlsCa: given.ca ?? '',
})

describe('between nodes', () => {
  test('a secret does without TLS, TLS without a secret, and nothing without either', () => {
    expect(nodeCredentials(trust({ secret: 's' }))).toBeUndefined()
    expect(nodeCredentials(trust(files))).toEqual(NODE)
    expect(() => nodeCredentials(trust({}))).toThrow('CURLEW_CLUSTER_SECRET is missing')
  })

  test('half of it, a file that is not there, and a key of another certificate are told', () => {
    const { cert, key, ca, otherKey, text } = files
    expect(() => nodeCredentials(trust({ cert, key, secret: 's' }))).toThrow('go together')
    expect(() => nodeCredentials(trust({ cert: `${cert}.not`, key, ca }))).toThrow(
      '--tls-cert cannot be read: ENOENT',
    )
    expect(() => nodeCredentials(trust({ cert, key, ca: text }))).toThrow('--tls-ca names')
    expect(() => nodeCredentials(trust({ cert, key: otherKey, ca }))).toThrow('do not fit')
  })
})

describe('towards etcd', () => {
  const etcd = ['https://etcd:2379']
  const none = { etcdCa: '', etcdCert: '', etcdKey: '' }

  test('each part may be left out, but a certificate needs its key', () => {
    expect(etcdCredentials({ etcd, ...none })).toEqual({})
    expect(etcdCredentials({ etcd, ...none, etcdCa: files.ca })).toEqual({ ca: NODE.ca })
    expect(() => etcdCredentials({ etcd, ...none, etcdCert: files.cert })).toThrow('go together')
  })

  test('a member that is asked in the clear is told', () => {
    const plain = [...etcd, 'http://etcd-2:2379']
    expect(etcdCredentials({ etcd: plain, ...none })).toEqual({})
    expect(() => etcdCredentials({ etcd: plain, ...none, etcdCa: files.ca })).toThrow(
      '--etcd http://etcd-2:2379 is not https',
    )
  })
})

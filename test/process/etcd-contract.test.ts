/** The contract of metadata stores, against a real etcd. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { nullLogger } from '../../src/env/logger.ts'
import { SystemClock } from '../../src/env/system-clock.ts'
import { SystemRandom } from '../../src/env/system-random.ts'
import { EtcdStore } from '../../src/metadata/etcd-store.ts'
import { UndiciEtcdHttp } from '../../src/metadata/undici-etcd-http.ts'
import { metadataStoreContract } from '../contract/metadata-store.contract.ts'
import { EtcdProcess, hasEtcd } from '../support/etcd-process.ts'

if (hasEtcd()) {
  describe('etcd', () => {
    const clock = new SystemClock()
    let etcd: EtcdProcess
    let tests = 0

    beforeAll(async () => {
      etcd = await EtcdProcess.start({ args: ['--unsafe-no-fsync'] })
    })
    afterAll(() => etcd.close())

    metadataStoreContract('etcd', async () => {
      const prefix = `/test-${++tests}`
      const open = () =>
        new EtcdStore(
          { http: new UndiciEtcdHttp(), clock, random: new SystemRandom(), logger: nullLogger },
          { endpoints: [etcd.url], prefix, pageSize: 3 },
        )
      let store = open()
      return {
        get store() {
          return store
        },
        reopen: async () => {
          await store.close()
          store = open()
        },
        compact: () => etcd.compact(),
        // etcd has a clock of its own.
        passTime: (durationMs) => clock.sleep(durationMs, new AbortController().signal),
        close: async () => {
          await store.close()
          // A lease that ended later would take a revision in the middle of another test.
          const { leases = [] } = await etcd.ask<{ leases?: { ID: string }[] }>(
            '/v3/lease/leases',
            {},
          )
          for (const { ID } of leases) await etcd.ask('/v3/lease/revoke', { ID })
        },
      }
    })
  })
} else {
  console.warn('the etcd store is not tested: etcd is not installed here')
  test('has said why the etcd store is not tested', () => {
    expect(hasEtcd()).toBe(false)
  })
}

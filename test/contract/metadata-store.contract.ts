/** What every MetadataStore must do, whatever it is made of. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Change, MetadataStore } from '../../src/metadata/metadata-store.ts'
import { CompactedError, LeaseGoneError } from '../../src/metadata/metadata-store.ts'

export interface MetadataStoreHarness {
  readonly store: MetadataStore
  /** Closes the store and opens it again on the same data. */
  reopen(): Promise<void>
  /** Makes the store forget all history up to now. */
  compact(): Promise<void>
  /** Lets at least this much of the store's time pass. */
  passTime(durationMs: number): Promise<void>
  close(): Promise<void>
}

const FOREVER = new AbortController().signal

export function metadataStoreContract(
  name: string,
  make: () => Promise<MetadataStoreHarness>,
): void {
  describe(`MetadataStore: ${name}`, () => {
    let harness: MetadataStoreHarness
    beforeEach(async () => {
      harness = await make()
    })
    afterEach(() => harness.close())

    describe('keys and transactions', () => keysAndTransactions(() => harness))
    describe('watch', () => watches(() => harness))
    describe('leases', () => leases(() => harness))
  })
}

function put(store: MetadataStore, key: string, value: string, leaseId?: string) {
  const entry = leaseId === undefined ? { key, value } : { key, value, leaseId }
  return store.transact({ compare: [], put: [entry] })
}

function remove(store: MetadataStore, ...keys: string[]) {
  return store.transact({ compare: [], put: [], remove: keys })
}

/** The first `count` changes from `revision` on. */
async function take(
  store: MetadataStore,
  prefix: string,
  revision: number,
  count: number,
): Promise<Change[]> {
  const changes: Change[] = []
  const done = new AbortController()
  for await (const change of store.watch(prefix, revision, done.signal)) {
    changes.push(change)
    if (changes.length === count) done.abort()
  }
  return changes
}

const summary = (changes: readonly Change[]) =>
  changes.map((c) => c.events.map((e) => [e.key, e.entry?.value]))

function keysAndTransactions(harness: () => MetadataStoreHarness): void {
  test('an absent key is undefined, and a list of nothing is empty', async () => {
    const { store } = harness()
    expect(await store.get('/a')).toBeUndefined()
    const { entries, revision } = await store.list('/')
    expect(entries).toEqual([])
    expect(revision).toBeGreaterThanOrEqual(0)
  })

  test('what was put is read, with the revision of its transaction', async () => {
    const { store } = harness()
    const { succeeded, revision } = await put(store, '/a', '{"x":"ü€😀"}')
    expect(succeeded).toBe(true)
    expect(revision).toBeGreaterThan(0)
    expect(await store.get('/a')).toEqual({
      key: '/a',
      value: '{"x":"ü€😀"}',
      createRevision: revision,
      modRevision: revision,
    })
  })

  test('each transaction takes the next revision, for all its keys', async () => {
    const { store } = harness()
    const first = await put(store, '/a', '1')
    const second = await store.transact({
      compare: [],
      put: [
        { key: '/b', value: '2' },
        { key: '/a', value: '3' },
      ],
    })
    expect(second.revision).toBe(first.revision + 1)
    expect(await store.get('/a')).toMatchObject({
      createRevision: first.revision,
      modRevision: second.revision,
    })
    expect(await store.get('/b')).toMatchObject({
      createRevision: second.revision,
      modRevision: second.revision,
    })
  })

  test('a key that is deleted and made again has a new create revision', async () => {
    const { store } = harness()
    const first = await put(store, '/a', '1')
    await remove(store, '/a')
    expect(await store.get('/a')).toBeUndefined()
    const again = await put(store, '/a', '1')
    expect(again.revision).toBe(first.revision + 2)
    expect(await store.get('/a')).toMatchObject({
      createRevision: again.revision,
      modRevision: again.revision,
    })
  })

  test('a list has the keys of the prefix in order, and the revision it was made at', async () => {
    const { store } = harness()
    for (const key of ['/p/10', '/p/2', '/q', '/p', '/p/', '/p0', '/p/~']) {
      await put(store, key, `"${key}"`)
    }
    const { entries, revision } = await store.list('/p/')
    expect(entries.map((entry) => entry.key)).toEqual(['/p/', '/p/10', '/p/2', '/p/~'])
    expect((await put(store, '/z', '1')).revision).toBe(revision + 1)
  })

  test.each(['createRevision', 'modRevision'] as const)(
    'a compare on %s holds for the right revision and 0 stands for absent',
    async (target) => {
      const { store } = harness()
      const write = (equals: number) =>
        store.transact({
          compare: [{ key: '/a', target, equals }],
          put: [{ key: '/a', value: '1' }],
        })
      expect((await write(7_000_000)).succeeded).toBe(false)
      const created = await write(0)
      expect(created.succeeded).toBe(true)
      expect((await write(0)).succeeded).toBe(false)
      const second = await write(created.revision)
      expect(second.succeeded).toBe(true)
      // The create revision still is the first; the modification revision has moved on.
      expect((await write(created.revision)).succeeded).toBe(target === 'createRevision')
    },
  )

  test('one compare that fails fails all, and nothing is written', async () => {
    const { store } = harness()
    const { revision } = await put(store, '/a', '1')
    const outcome = await store.transact({
      compare: [
        { key: '/a', target: 'modRevision', equals: revision },
        { key: '/b', target: 'createRevision', equals: revision },
      ],
      put: [
        { key: '/a', value: '2' },
        { key: '/b', value: '2' },
      ],
      remove: ['/c'],
    })
    expect(outcome).toEqual({ succeeded: false, revision })
    const { entries, revision: after } = await store.list('/')
    expect(entries.map(({ key, value }) => [key, value])).toEqual([['/a', '1']])
    expect(after).toBe(revision)
  })

  test('a transaction can put some keys and remove others at once', async () => {
    const { store } = harness()
    const { revision } = await put(store, '/a', '1')
    await store.transact({
      compare: [{ key: '/a', target: 'createRevision', equals: revision }],
      put: [{ key: '/b', value: '2' }],
      remove: ['/a'],
    })
    expect((await store.list('/')).entries.map((entry) => entry.key)).toEqual(['/b'])
  })

  test('a transaction that changes nothing takes no revision', async () => {
    const { store } = harness()
    const { revision } = await put(store, '/a', '1')
    expect(await remove(store, '/absent')).toEqual({ succeeded: true, revision })
    expect(await store.transact({ compare: [], put: [] })).toEqual({ succeeded: true, revision })
  })

  test('a transaction that writes a key twice is refused', async () => {
    const { store } = harness()
    const twice = { compare: [], put: [{ key: '/a', value: '1' }], remove: ['/a'] }
    await expect(store.transact(twice)).rejects.toThrow()
    expect(await store.get('/a')).toBeUndefined()
  })

  test('of concurrent creations of one key exactly one succeeds', async () => {
    const { store } = harness()
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        store.transact({
          compare: [{ key: '/a', target: 'createRevision', equals: 0 }],
          put: [{ key: '/a', value: `${n}` }],
        }),
      ),
    )
    expect(outcomes.filter((outcome) => outcome.succeeded)).toHaveLength(1)
    const winner = outcomes.findIndex((outcome) => outcome.succeeded)
    expect((await store.get('/a'))?.value).toBe(`${winner}`)
  })

  test('concurrent increments by compare and set lose none', async () => {
    const { store } = harness()
    await put(store, '/n', '0')
    const increment = async (): Promise<void> => {
      const entry = (await store.get('/n'))!
      const { succeeded } = await store.transact({
        compare: [{ key: '/n', target: 'modRevision', equals: entry.modRevision }],
        put: [{ key: '/n', value: `${Number(entry.value) + 1}` }],
      })
      if (!succeeded) await increment()
    }
    await Promise.all(Array.from({ length: 10 }, increment))
    expect((await store.get('/n'))?.value).toBe('10')
  })

  test('after reopening everything is there and revisions go on', async () => {
    await put(harness().store, '/gone', '1')
    const created = await put(harness().store, '/a', '1')
    const changed = await put(harness().store, '/a', '2')
    const removed = await remove(harness().store, '/gone')
    await harness().reopen()
    const { store } = harness()
    expect(await store.list('/')).toEqual({
      entries: [
        { key: '/a', value: '2', createRevision: created.revision, modRevision: changed.revision },
      ],
      revision: removed.revision,
    })
    expect((await put(store, '/b', '1')).revision).toBe(removed.revision + 1)
  })

  test('a closed store refuses every call', async () => {
    const { store } = harness()
    await store.close()
    await expect(store.get('/a')).rejects.toThrow('closed')
    await expect(put(store, '/a', '1')).rejects.toThrow('closed')
    await expect(take(store, '/', 1, 1)).rejects.toThrow('closed')
    await harness().reopen()
    expect(await harness().store.get('/a')).toBeUndefined()
  })
}

function watches(harness: () => MetadataStoreHarness): void {
  test('from a past revision: one change per transaction, in order, without gaps', async () => {
    const { store } = harness()
    const { revision } = await put(store, '/a', '1')
    await store.transact({
      compare: [],
      put: [
        { key: '/b', value: '2' },
        { key: '/c', value: '3' },
      ],
      remove: ['/a'],
    })
    await put(store, '/b', '4')
    const changes = await take(store, '/', revision, 3)
    expect(changes.map((change) => change.revision)).toEqual([revision, revision + 1, revision + 2])
    expect(summary(changes).map((events) => events.toSorted())).toEqual([
      [['/a', '1']],
      [
        ['/a', undefined],
        ['/b', '2'],
        ['/c', '3'],
      ],
      [['/b', '4']],
    ])
    expect(changes[2]?.events[0]?.entry).toEqual({
      key: '/b',
      value: '4',
      createRevision: revision + 1,
      modRevision: revision + 2,
    })
    expect(await take(store, '/', revision + 2, 1)).toEqual(changes.slice(2))
  })

  test('changes that come later are seen as they come', async () => {
    const { store } = harness()
    const { revision } = await store.list('/')
    const seen = take(store, '/', revision + 1, 3)
    for (const value of ['1', '2', '3']) await put(store, '/a', value)
    expect(summary(await seen)).toEqual([[['/a', '1']], [['/a', '2']], [['/a', '3']]])
  })

  test('a watch from a future revision shows nothing older', async () => {
    const { store } = harness()
    const { revision } = await store.list('/')
    const seen = take(store, '/', revision + 3, 1)
    for (const value of ['1', '2', '3']) await put(store, '/a', value)
    expect(summary(await seen)).toEqual([[['/a', '3']]])
  })

  test('only keys of the prefix; a change without any is left out', async () => {
    const { store } = harness()
    const { revision } = await put(store, '/other', '1')
    await store.transact({
      compare: [],
      put: [
        { key: '/p/a', value: '2' },
        { key: '/other', value: '3' },
      ],
    })
    await put(store, '/p', '4')
    await put(store, '/p/b', '5')
    expect(summary(await take(store, '/p/', revision, 2))).toEqual([
      [['/p/a', '2']],
      [['/p/b', '5']],
    ])
  })

  test('every watcher sees every change, also one that is behind', async () => {
    const { store } = harness()
    const { revision } = await store.list('/')
    const early = [1, 2, 3].map(() => take(store, '/', revision + 1, 5))
    for (let n = 0; n < 5; n++) await put(store, '/a', `${n}`)
    const late = await take(store, '/', revision + 1, 5)
    for (const watcher of early) expect(await watcher).toEqual(late)
    expect(late).toHaveLength(5)
  })

  test('abort ends it, while it waits and before it starts', async () => {
    const { store } = harness()
    const { revision } = await store.list('/')
    const stop = new AbortController()
    const waiting = Array.fromAsync(store.watch('/', revision + 1, stop.signal))
    await put(store, '/a', '1')
    stop.abort()
    expect((await waiting).length).toBeLessThanOrEqual(1)
    expect(await Array.fromAsync(store.watch('/', revision + 1, stop.signal))).toEqual([])
  })

  test('a watcher may leave in the middle', async () => {
    const { store } = harness()
    const { revision } = await put(store, '/a', '1')
    for await (const change of store.watch('/', revision, FOREVER)) {
      expect(change.revision).toBe(revision)
      break
    }
    expect((await put(store, '/a', '2')).succeeded).toBe(true)
  })

  test('a revision that is no longer kept is refused; a list tells where to go on', async () => {
    const { store } = harness()
    const { revision } = await put(store, '/a', '1')
    await harness().compact()
    await expect(take(store, '/', revision, 1)).rejects.toThrow(CompactedError)
    const list = await store.list('/a')
    await put(store, '/a', '2')
    expect(summary(await take(store, '/a', list.revision + 1, 1))).toEqual([[['/a', '2']]])
  })

  test('a watcher that falls out of the history is told, not skipped ahead', async () => {
    const { store } = harness()
    const { revision } = await put(store, '/a', '1')
    await put(store, '/a', '2')
    const changes = store.watch('/', revision, FOREVER)[Symbol.asyncIterator]()
    expect((await changes.next()).value.revision).toBe(revision)
    await harness().compact()
    // A store that has read ahead may go on, but only with what comes next.
    const next = await changes.next().then(
      ({ value }) => value.revision,
      (error: unknown) => error instanceof CompactedError,
    )
    expect([true, revision + 1]).toContain(next)
  })

  test('closing the store fails the watchers', async () => {
    const { store } = harness()
    const { revision } = await store.list('/')
    const waiting = take(store, '/', revision + 1, 1)
    const failed = expect(waiting).rejects.toThrow('closed')
    await store.close()
    await failed
    await harness().reopen()
  })
}

function leases(harness: () => MetadataStoreHarness): void {
  const TTL_MS = 3_000

  test('expiry removes all its keys in one revision that watchers see', async () => {
    const { store } = harness()
    const lease = await store.lease(TTL_MS)
    await put(store, '/stays', '1')
    await put(store, '/a', '1', lease.id)
    const { revision } = await put(store, '/b', '1', lease.id)
    const gone = take(store, '/', revision + 1, 1)
    await harness().passTime(TTL_MS * 2)
    const [change] = await gone
    expect(change?.events.toSorted((x, y) => (x.key < y.key ? -1 : 1))).toEqual([
      { key: '/a', entry: undefined },
      { key: '/b', entry: undefined },
    ])
    expect((await store.list('/')).entries.map((entry) => entry.key)).toEqual(['/stays'])
    expect(await lease.keepAlive(FOREVER)).toBe(false)
  })

  test('keeping it alive prolongs it each time', async () => {
    const { store } = harness()
    const lease = await store.lease(TTL_MS)
    await put(store, '/a', '1', lease.id)
    for (let n = 0; n < 4; n++) {
      await harness().passTime(TTL_MS * 0.4)
      expect(await lease.keepAlive(FOREVER)).toBe(true)
    }
    expect(await store.get('/a')).toBeDefined()
    await harness().passTime(TTL_MS * 2)
    expect(await lease.keepAlive(FOREVER)).toBe(false)
    expect(await store.get('/a')).toBeUndefined()
  })

  test('revoking removes the keys at once, and only once', async () => {
    const { store } = harness()
    const lease = await store.lease(TTL_MS)
    const { revision } = await put(store, '/a', '1', lease.id)
    await lease.revoke()
    expect(await store.list('/')).toEqual({ entries: [], revision: revision + 1 })
    await lease.revoke()
    expect(await lease.keepAlive(FOREVER)).toBe(false)
    expect((await store.list('/')).revision).toBe(revision + 1)
  })

  test('a key belongs to the lease that it was last written with', async () => {
    const { store } = harness()
    const [first, second] = [await store.lease(TTL_MS), await store.lease(TTL_MS)]
    await put(store, '/freed', '1', first.id)
    await put(store, '/freed', '2')
    await put(store, '/moved', '1', first.id)
    await put(store, '/moved', '2', second.id)
    await put(store, '/again', '1', first.id)
    await remove(store, '/again')
    await put(store, '/again', '2')
    await first.revoke()
    const keys = async () => (await store.list('/')).entries.map((entry) => entry.key)
    expect(await keys()).toEqual(['/again', '/freed', '/moved'])
    await second.revoke()
    expect(await keys()).toEqual(['/again', '/freed'])
  })

  test('a put under a lease that is gone is refused and writes nothing', async () => {
    const { store } = harness()
    const lease = await store.lease(TTL_MS)
    await lease.revoke()
    const { revision } = await store.list('/')
    await expect(put(store, '/a', '1', lease.id)).rejects.toThrow(LeaseGoneError)
    expect(await store.list('/')).toEqual({ entries: [], revision })
  })

  test('after reopening, the keys of a lease that nobody renews go', async () => {
    const lease = await harness().store.lease(TTL_MS)
    await put(harness().store, '/stays', '1')
    await put(harness().store, '/a', '1', lease.id)
    await harness().reopen()
    await harness().passTime(TTL_MS * 2)
    const { entries } = await harness().store.list('/')
    expect(entries.map((entry) => entry.key)).toEqual(['/stays'])
  })
}

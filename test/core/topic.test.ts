import { describe, expect, test } from 'vitest'
import type { TopicConfig } from '../../src/core/topic.ts'
import {
  changedConfig,
  configFaults,
  defaultTopicConfig,
  isCompacted,
  newTopicConfig,
  specDifferences,
  specFaults,
  TOPIC_BOUNDS,
} from '../../src/core/topic.ts'

const CONFIG = defaultTopicConfig(1)
const EXISTING = { partitions: 6, config: CONFIG }
const pointers = (faults: readonly { pointer: string }[]) => faults.map(({ pointer }) => pointer)

describe('defaults', () => {
  test.each([
    [1, 1, 1],
    [2, 2, 1],
    [3, 3, 2],
    [9, 3, 2],
  ])('%i nodes: %i replicas, %i in sync', (nodes, replicationFactor, minInsyncReplicas) => {
    expect(newTopicConfig({}, nodes)).toMatchObject({ replicationFactor, minInsyncReplicas })
    expect(configFaults(newTopicConfig({}, nodes), nodes)).toEqual([])
  })

  test('a replication factor that is named brings its own minimum in sync', () => {
    expect(newTopicConfig({ replicationFactor: 1 }, 3).minInsyncReplicas).toBe(1)
    expect(newTopicConfig({ replicationFactor: 5 }, 5).minInsyncReplicas).toBe(2)
    expect(newTopicConfig({ replicationFactor: 3, minInsyncReplicas: 3 }, 3)).toMatchObject({
      minInsyncReplicas: 3,
    })
  })

  test('are within the bounds', () => {
    expect(specFaults({ ...CONFIG, partitions: 6 })).toEqual([])
  })
})

describe('profile', () => {
  test('fills what is not named', () => {
    expect(newTopicConfig({ profile: 'throughput' }, 1)).toEqual({
      ...CONFIG,
      lingerMs: 5,
      batchBytes: 1024 * 1024,
    })
  })

  test('loses against what is named', () => {
    expect(newTopicConfig({ profile: 'throughput', lingerMs: 20 }, 1)).toMatchObject({
      lingerMs: 20,
      batchBytes: 1024 * 1024,
    })
  })
})

describe('specFaults', () => {
  test.each(Object.entries(TOPIC_BOUNDS))('%s is bounded at both ends', (name, { min, max }) => {
    const faults = (value: number) => pointers(specFaults({ [name]: value }))
    expect(faults(min)).toEqual([])
    expect(faults(max)).toEqual([])
    expect(faults(min + 0.5)).toEqual(name.endsWith('Ratio') ? [] : [`/${name}`])
    expect(faults(Number.NaN)).toEqual([`/${name}`])
    expect(faults(max + 1)).toEqual([`/${name}`])
    const unlimited = name.startsWith('retention') || name === 'maxCompactionLagMs'
    expect(faults(-1)).toEqual(unlimited ? [] : [`/${name}`])
    if (min > 0) expect(faults(min - 1)).toEqual([`/${name}`])
    expect(faults(-2)).toEqual([`/${name}`])
  })

  test('names every fault, with what is allowed', () => {
    expect(specFaults({ lingerMs: 5000, retentionMs: 0 })).toEqual([
      { pointer: '/retentionMs', detail: 'must be an integer of at least 1, or -1 for no limit' },
      { pointer: '/lingerMs', detail: 'must be an integer from 0 to 1000' },
    ])
  })
})

describe('configFaults', () => {
  test('more replicas than nodes', () => {
    expect(pointers(configFaults({ ...CONFIG, replicationFactor: 2 }, 1))).toEqual([
      '/replicationFactor',
    ])
  })

  test('more in sync than there are replicas', () => {
    expect(pointers(configFaults({ ...CONFIG, minInsyncReplicas: 2 }, 1))).toEqual([
      '/minInsyncReplicas',
    ])
  })
})

describe('compaction', () => {
  test('records are not kept back for longer than they may stay', () => {
    const config = { ...CONFIG, minCompactionLagMs: 5_000 }
    expect(configFaults(config, 1)).toEqual([])
    expect(pointers(configFaults({ ...config, maxCompactionLagMs: 4_999 }, 1))).toEqual([
      '/minCompactionLagMs',
    ])
    expect(configFaults({ ...config, maxCompactionLagMs: 5_000 }, 1)).toEqual([])
  })

  test('a topic can become compacted, and cease to be', () => {
    const change = changedConfig({ cleanup: 'both' }, EXISTING)
    expect(change).toMatchObject({ ok: true, changed: true, config: { cleanup: 'both' } })
    expect(
      ['delete', 'compact', 'both'].map((cleanup) =>
        isCompacted({ ...CONFIG, cleanup } as TopicConfig),
      ),
    ).toEqual([false, true, true])
  })

  test('the share that must be new is any number up to all of it', () => {
    expect(specFaults({ minCleanableDirtyRatio: 0.25 })).toEqual([])
    expect(specFaults({ minCleanableDirtyRatio: 1.01 })).toEqual([
      { pointer: '/minCleanableDirtyRatio', detail: 'must be a number from 0 to 1' },
    ])
  })
})

describe('specDifferences', () => {
  test('what is not named does not differ', () => {
    expect(specDifferences({}, { partitions: 3, config: { ...CONFIG, lingerMs: 7 } })).toEqual([])
    expect(specDifferences({ partitions: 6, lingerMs: 0 }, EXISTING)).toEqual([])
  })

  test('each named setting that differs, with both values', () => {
    expect(specDifferences({ partitions: 12, lingerMs: 0, flush: 'os' }, EXISTING)).toEqual([
      { pointer: '/partitions', detail: 'is 6, not 12' },
      { pointer: '/flush', detail: 'is commit, not os' },
    ])
  })

  test('a profile names the settings that it stands for', () => {
    expect(pointers(specDifferences({ profile: 'throughput' }, EXISTING))).toEqual([
      '/lingerMs',
      '/batchBytes',
    ])
    expect(specDifferences({ profile: 'latency' }, EXISTING)).toEqual([])
  })
})

describe('changedConfig', () => {
  test('changes what is named and keeps the rest', () => {
    expect(changedConfig({ retentionMs: 5, profile: 'throughput' }, EXISTING)).toEqual({
      ok: true,
      changed: true,
      config: { ...CONFIG, retentionMs: 5, lingerMs: 5, batchBytes: 1024 * 1024 },
    })
  })

  test('naming everything as it is changes nothing', () => {
    expect(changedConfig({ ...CONFIG, partitions: 6 }, EXISTING)).toEqual({
      ok: true,
      changed: false,
      config: CONFIG,
    })
  })

  test.each([
    ['partitions', { partitions: 7 }],
    ['replicationFactor', { replicationFactor: 2 }],
    ['flush', { flush: 'os' } as const],
    ['minInsyncReplicas', { minInsyncReplicas: 2 }],
  ])('%s cannot be changed so', (name, spec) => {
    const change = changedConfig({ ...spec, lingerMs: 9 }, EXISTING)
    expect(change).toMatchObject({ ok: false, faults: [{ pointer: `/${name}` }] })
  })
})

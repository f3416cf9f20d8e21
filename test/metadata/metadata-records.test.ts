import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { initialSlotMap, slotCount } from '../../src/core/slot-map.ts'
import { defaultTopicConfig } from '../../src/core/topic.ts'
import type { TopicRecord } from '../../src/metadata/metadata-records.ts'
import {
  decodeController,
  decodeNode,
  decodeNodeRegistry,
  decodePartition,
  decodeTopic,
  encodeRecord,
  withConfig,
} from '../../src/metadata/metadata-records.ts'
import { slotMapOf, slotMapRecord } from '../../src/metadata/slot-map-record.ts'
import { topicId } from './topic-fixtures.ts'

const TOPIC: TopicRecord = {
  topicId: topicId(1),
  partitions: 6,
  config: defaultTopicConfig(1),
  slotMap: { initialPartitions: 6, version: 1, moves: [] },
  state: 'active',
  createdAtMs: 1_700_000_000_000,
}

describe('topic record', () => {
  test('comes back as it was written, and is small', () => {
    const text = encodeRecord(TOPIC)
    expect(decodeTopic(text)).toEqual(TOPIC)
    expect(text.length).toBeLessThan(600)
  })

  test('what a later version adds is tolerated, and kept when the config changes', () => {
    const later = {
      ...TOPIC,
      owner: 'x',
      config: { ...TOPIC.config, compaction: { on: true } },
      slotMap: { ...TOPIC.slotMap, fences: [] },
    }
    expect(decodeTopic(JSON.stringify(later))).toEqual(TOPIC)
    const changed = withConfig(JSON.stringify(later), { ...TOPIC.config, lingerMs: 9 })
    expect(JSON.parse(changed)).toEqual({ ...later, config: { ...later.config, lingerMs: 9 } })
  })

  test('a topic of a version without compaction deletes its records, as it did', () => {
    const { cleanup: _, minCleanableDirtyRatio: __, ...config } = TOPIC.config
    expect(decodeTopic(JSON.stringify({ ...TOPIC, config }))).toEqual(TOPIC)
  })

  test('how a topic is compacted comes back as it was written', () => {
    const config = {
      ...TOPIC.config,
      cleanup: 'both' as const,
      minCleanableDirtyRatio: 0.25,
      minCompactionLagMs: 1,
      maxCompactionLagMs: 2,
      deleteRetentionMs: 0,
    }
    expect(decodeTopic(JSON.stringify({ ...TOPIC, config })).config).toEqual(config)
  })

  test.each([
    ['no JSON', '{'],
    ['no object', '[]'],
    ['another id', JSON.stringify({ ...TOPIC, topicId: 'ABC' })],
    ['no partitions', JSON.stringify({ ...TOPIC, partitions: 0 })],
    ['too many partitions', JSON.stringify({ ...TOPIC, partitions: 10_001 })],
    ['no config', JSON.stringify({ ...TOPIC, config: null })],
    ['half a config', JSON.stringify({ ...TOPIC, config: { lingerMs: 1 } })],
    ['a fraction', JSON.stringify({ ...TOPIC, config: { ...TOPIC.config, lingerMs: 0.5 } })],
    [
      'a share above all',
      JSON.stringify({ ...TOPIC, config: { ...TOPIC.config, minCleanableDirtyRatio: 2 } }),
    ],
    ['an unknown word', JSON.stringify({ ...TOPIC, config: { ...TOPIC.config, flush: 'no' } })],
    ['an unknown state', JSON.stringify({ ...TOPIC, state: 'draining' })],
    ['a slot of nobody', withMoves([[6, [0]]])],
    ['a slot beyond the last', withMoves([[0, [slotCount(6)]]])],
    ['a move that is none', withMoves([[0, 1]])],
  ])('%s is refused', (_, text) => {
    expect(() => decodeTopic(text)).toThrow()
  })

  function withMoves(moves: unknown): string {
    return JSON.stringify({ ...TOPIC, slotMap: { ...TOPIC.slotMap, moves } })
  }
})

describe('partition record', () => {
  test('comes back as it was written; more members are tolerated, and kept', () => {
    const record = {
      replicas: [1, 2],
      leader: -1,
      leaderEpoch: 7,
      isr: [2],
      elr: [],
      state: 'active',
    } as const
    expect(decodePartition(JSON.stringify({ ...record, adding: [3] }))).toEqual({
      ...record,
      adding: [3],
    })
    expect(() => decodePartition(JSON.stringify({ ...record, leader: -2 }))).toThrow('leader')
    expect(() => decodePartition(JSON.stringify({ ...record, isr: ['2'] }))).toThrow('isr')
    expect(() => decodePartition(JSON.stringify({ ...record, replicas: 2 }))).toThrow('replicas')
    const unclean = { atMs: 5, leaderEpoch: 7 }
    expect(decodePartition(encodeRecord({ ...record, unclean }))).toEqual({ ...record, unclean })
    expect(() => decodePartition(JSON.stringify({ ...record, unclean: {} }))).toThrow('atMs')
  })
})

describe('records of nodes', () => {
  test('come back as they were written', () => {
    const node = { url: 'http://a', rack: 'r' }
    expect(decodeNode(encodeRecord(node))).toEqual(node)
    const more = { ...node, version: '1.0.0', draining: true, directoryId: 'ab', leaseId: '7' }
    expect(decodeNode(encodeRecord(more))).toEqual(more)
    const registered = { directoryId: 'ab', rack: 'r', createdAtMs: 3 }
    expect(decodeNodeRegistry(encodeRecord(registered))).toEqual(registered)
    const controller = { nodeId: 2, incarnation: 9 }
    expect(decodeController(encodeRecord(controller))).toEqual(controller)
  })

  test('with a member of another kind are refused', () => {
    expect(() => decodeNode('{"url":"","rack":"","draining":1}')).toThrow('draining')
    expect(() => decodeNodeRegistry('{"rack":"","createdAtMs":1}')).toThrow('directoryId')
    expect(() => decodeController('{"nodeId":2,"incarnation":0}')).toThrow('incarnation')
  })
})

describe('slot map record', () => {
  test('the initial map stores no slots, and is not copied', () => {
    const map = initialSlotMap(6)
    const record = slotMapRecord(6, map)
    expect(record).toEqual({ initialPartitions: 6, version: 1, moves: [] })
    expect(slotMapOf(record, () => map).slots).toBe(map.slots)
  })

  test('any map comes back, by way of JSON', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.array(fc.tuple(fc.nat(5000), fc.nat(50)), { maxLength: 40 }),
        (partitions, moves) => {
          const map = { version: 3, slots: initialSlotMap(partitions).slots.slice() }
          for (const [slot, partition] of moves) map.slots[slot % map.slots.length] = partition
          const slotMap = slotMapRecord(partitions, map)
          const topic = { ...TOPIC, partitions: 51, slotMap }
          const read = decodeTopic(encodeRecord(topic)).slotMap
          expect(slotMapOf(read, initialSlotMap)).toEqual(map)
        },
      ),
    )
  })
})

import { expect, test } from 'vitest'
import { planMetadata } from '../../src/cli/rebuild-metadata.ts'
import type { TopicId } from '../../src/core/ids.ts'
import { newTopicConfig } from '../../src/core/topic.ts'
import { decodeMetadataCopy, encodeMetadataCopy } from '../../src/nodes/metadata-copy.ts'
import type { CheckpointedLog } from '../../src/storage/checkpoint.ts'

const idOf = (digit: string) => digit.repeat(32) as TopicId
const IDENTITY = { clusterId: 'c', nodeId: 1, directoryId: 'd' }

function log(id: TopicId, topicName: string, partition: number): CheckpointedLog {
  return {
    logId: partition + 1,
    topicId: id,
    topicName,
    partition,
    flush: 'commit',
    startOffset: 0,
    endOffset: 0,
    highWatermark: 0,
    segments: [],
    epochs: [],
  }
}

function topic(id: TopicId, name: string) {
  const slotMap = { initialPartitions: 1, version: 1, moves: [] }
  const config = newTopicConfig({ retentionMs: 12_345 }, 1)
  const record = { topicId: id, partitions: 1, config, slotMap, state: 'active', createdAtMs: 5 }
  return [
    { key: `/topics/${name}`, value: JSON.stringify(record) },
    { key: `/partitions/${id}/0`, value: '{}' },
  ]
}

test('a topic whose logs are there is as in the copy; one without was deleted after it', () => {
  const [kept, deleted] = [idOf('a'), idOf('b')]
  const copy = [...topic(kept, 'kept'), ...topic(deleted, 'deleted')]
  const { entries, topics } = planMetadata(copy, [log(kept, 'kept', 0)], IDENTITY, 9)
  expect(entries.map(({ key }) => key)).toEqual([
    '/topics/kept',
    `/partitions/${kept}/0`,
    '/cluster',
  ])
  expect(entries[0]).toEqual(copy[0])
  expect(JSON.parse(entries.at(-1)?.value ?? '')).toMatchObject({ clusterId: 'c' })
  expect(topics).toEqual([])
})

test('a topic made after the copy has the partitions of its logs, and keeps its records', () => {
  const id = idOf('c')
  const logs = [log(id, 'late', 0), log(id, 'late', 2), log(id, 'late', 1)]
  const { topics } = planMetadata([], logs, IDENTITY, 9)
  expect(topics).toMatchObject([
    { name: 'late', id, replicas: [[1], [1], [1]], createdAtMs: 9, config: { retentionMs: -1 } },
  ])
})

test('a topic that was removed stays so, and its removal is remembered', () => {
  const id = idOf('d')
  const removal = { key: `/removed-topics/${id}`, value: '{"name":"old","removedAtMs":1}' }
  const gone: CheckpointedLog = { ...log(idOf('e'), 'gone', 0), deleted: true }
  const plan = planMetadata([removal], [log(id, 'old', 0), gone], IDENTITY, 9)
  expect(plan.topics).toEqual([])
  expect(plan.entries).toContainEqual(removal)
})

test('of two topics with one name the one in the copy is kept, and the other is told', () => {
  const [known, other] = [idOf('a'), idOf('f')]
  const logs = [log(other, 'same', 0), log(known, 'same', 0)]
  const { topics, entries, notes } = planMetadata(topic(known, 'same'), logs, IDENTITY, 9)
  expect(topics).toEqual([])
  expect(entries[0]?.key).toBe('/topics/same')
  expect(notes.at(-1)).toContain(`topic same (${other}): left out`)
})

test('a copy is read as it was written, and not at all when a byte of it differs', () => {
  const entries = [
    { key: '/topics/ä', value: '{"a":"\\n"}' },
    { key: '/cluster', value: '' },
  ]
  const bytes = Buffer.from(encodeMetadataCopy(entries))
  expect(decodeMetadataCopy(bytes)).toEqual(entries)
  for (let at = 0; at < bytes.length; at++) {
    const flipped = Buffer.from(bytes)
    flipped[at] = (flipped[at] as number) ^ 1
    expect(decodeMetadataCopy(flipped), `byte ${at}`).toBeUndefined()
  }
  for (let end = 0; end < bytes.length; end++) {
    expect(decodeMetadataCopy(bytes.subarray(0, end)), `cut at ${end}`).toBeUndefined()
  }
})

import { describe, expect, test } from 'vitest'
import {
  CLUSTER_KEY,
  CONTROLLER_KEY,
  nodeKey,
  nodeRegistryKey,
  parseMetadataKey,
  partitionMetadataKey,
  removedTopicKey,
  topicKey,
} from '../../src/metadata/metadata-keys.ts'
import { name, topicId } from './topic-fixtures.ts'

describe('metadata keys', () => {
  test('are read as they are made', () => {
    const id = topicId(0xabc)
    expect(parseMetadataKey(CLUSTER_KEY)).toEqual({ kind: 'cluster' })
    expect(parseMetadataKey(nodeKey(12))).toEqual({ kind: 'node', nodeId: 12 })
    expect(parseMetadataKey(CONTROLLER_KEY)).toEqual({ kind: 'controller' })
    expect(parseMetadataKey(nodeRegistryKey(3))).toEqual({ kind: 'node-registry', nodeId: 3 })
    expect(parseMetadataKey(topicKey(name('a.b')))).toEqual({ kind: 'topic', name: 'a.b' })
    expect(parseMetadataKey(partitionMetadataKey(id, 0))).toEqual({
      kind: 'partition',
      topicId: id,
      partition: 0,
    })
    expect(parseMetadataKey(removedTopicKey(id))).toEqual({ kind: 'removed-topic', topicId: id })
  })

  test.each([
    '',
    '/',
    '/cluster/',
    '/topics',
    '/topics/',
    '/topics/..',
    '/topics/a/b',
    '/nodes/x',
    '/nodes/01',
    '/partitions/abc/0',
    `/partitions/${topicId(1)}`,
    `/partitions/${topicId(1)}/-1`,
    `/partitions/${topicId(1)}/1/2`,
    `/removed-topics/${topicId(1)}/x`,
    '/controller/',
    '/node-registry/',
    '/node-registry/1/2',
    '/elsewhere',
  ])('%j is none', (key) => {
    expect(parseMetadataKey(key)).toBeUndefined()
  })
})

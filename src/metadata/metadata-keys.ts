/**
 * Where things are in the metadata store.
 *
 *   /cluster                       what the cluster is
 *   /controller                    who elects leaders; its create revision is the controller epoch
 *   /nodes/<id>                    a node that is up; its create revision is the incarnation
 *   /node-registry/<id>            which data directory the node id belongs to, up or not
 *   /topics/<name>                 a topic; writing it is the commit point of a creation
 *   /partitions/<topicId>/<p>      who holds and leads a partition; inert without its topic
 *   /removed-topics/<topicId>      a topic that was deleted, so that its data may be too
 */
import type { TopicId, TopicName } from '../core/ids.ts'
import { parseTopicId, parseTopicName } from '../core/ids.ts'

export const CLUSTER_KEY = '/cluster'
export const CONTROLLER_KEY = '/controller'
export const TOPICS_PREFIX = '/topics/'
export const NODES_PREFIX = '/nodes/'
export const NODE_REGISTRY_PREFIX = '/node-registry/'
export const PARTITIONS_PREFIX = '/partitions/'
export const REMOVED_TOPICS_PREFIX = '/removed-topics/'

export type MetadataKey =
  | { readonly kind: 'cluster' }
  | { readonly kind: 'controller' }
  | { readonly kind: 'node'; readonly nodeId: number }
  | { readonly kind: 'node-registry'; readonly nodeId: number }
  | { readonly kind: 'topic'; readonly name: TopicName }
  | { readonly kind: 'partition'; readonly topicId: TopicId; readonly partition: number }
  | { readonly kind: 'removed-topic'; readonly topicId: TopicId }

export function topicKey(name: TopicName): string {
  return `${TOPICS_PREFIX}${name}`
}

export function nodeKey(nodeId: number): string {
  return `${NODES_PREFIX}${nodeId}`
}

export function nodeRegistryKey(nodeId: number): string {
  return `${NODE_REGISTRY_PREFIX}${nodeId}`
}

export function partitionsPrefix(topicId: TopicId): string {
  return `${PARTITIONS_PREFIX}${topicId}/`
}

export function partitionMetadataKey(topicId: TopicId, partition: number): string {
  return `${PARTITIONS_PREFIX}${topicId}/${partition}`
}

export function removedTopicKey(topicId: TopicId): string {
  return `${REMOVED_TOPICS_PREFIX}${topicId}`
}

/** undefined: not a key of this version; a later one may have more kinds. */
export function parseMetadataKey(key: string): MetadataKey | undefined {
  if (key === CLUSTER_KEY) return { kind: 'cluster' }
  if (key === CONTROLLER_KEY) return { kind: 'controller' }
  const [, kind, first = '', second, ...rest] = key.split('/')
  if (rest.length > 0) return undefined
  if (kind === 'partitions') {
    const topicId = parseTopicId(first)
    const partition = parseIndex(second ?? '')
    return topicId === undefined || partition === undefined
      ? undefined
      : { kind: 'partition', topicId, partition }
  }
  if (second !== undefined) return undefined
  if (kind === 'topics') {
    const name = parseTopicName(first)
    return name && { kind: 'topic', name }
  }
  if (kind === 'nodes' || kind === 'node-registry') {
    const nodeId = parseIndex(first)
    if (nodeId === undefined) return undefined
    return { kind: kind === 'nodes' ? 'node' : kind, nodeId }
  }
  if (kind === 'removed-topics') {
    const topicId = parseTopicId(first)
    return topicId && { kind: 'removed-topic', topicId }
  }
  return undefined
}

/** Canonical decimal of at most nine digits: what we write, and nothing else. */
function parseIndex(text: string): number | undefined {
  return /^(0|[1-9][0-9]{0,8})$/.test(text) ? Number(text) : undefined
}

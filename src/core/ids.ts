/** Names and numbers that must not be mixed up, with the functions that make them from input. */
declare const brand: unique symbol
type Brand<T, B extends string> = T & { readonly [brand]: B }

/** Letters, digits, `.`, `_`, `-`; 1 to 249 of them. */
export type TopicName = Brand<string, 'TopicName'>
/** 32 hexadecimal digits, random; never reused, also not when a topic is recreated under its name. */
export type TopicId = Brand<string, 'TopicId'>

const NAME = /^[A-Za-z0-9._-]{1,249}$/

export function parseTopicName(text: string): TopicName | undefined {
  return NAME.test(text) && text !== '.' && text !== '..' ? (text as TopicName) : undefined
}

/** Names that start with two underscores belong to Curlew itself. */
export function isReservedName(name: TopicName): boolean {
  return name.startsWith('__')
}

export function topicIdFromBytes(bytes: Uint8Array): TopicId {
  return Buffer.from(bytes.buffer, bytes.byteOffset, 16).toString('hex') as TopicId
}

export function parseTopicId(text: string): TopicId | undefined {
  return /^[0-9a-f]{32}$/.test(text) ? (text as TopicId) : undefined
}

/** Identifies a partition inside one process: `<topicId>-<partition>`. */
export type PartitionKey = Brand<string, 'PartitionKey'>

export function partitionKey(topicId: TopicId, partition: number): PartitionKey {
  return `${topicId}-${partition}` as PartitionKey
}

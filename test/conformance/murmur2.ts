/** Where Kafka's default partitioner puts a key, taken from Kafka's own JavaScript client. */
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
const murmur2 = require('kafkajs/src/producer/partitioners/default/murmur2.js') as (
  key: Uint8Array | string,
) => number

export function kafkaPartition(key: string, partitions: number): number {
  return (murmur2(Buffer.from(key)) & 0x7fffffff) % partitions
}

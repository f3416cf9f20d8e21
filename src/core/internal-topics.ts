/** Topics of Curlew's own, which users neither see nor write. */
import type { TopicName } from './ids.ts'
import { murmur2 } from './slot-map.ts'

/** What groups are and what they have committed. */
export const OFFSETS_TOPIC = '__offsets' as TopicName

/** Fixed when the topic is made, for ever: groups do not move. */
export const OFFSETS_PARTITIONS = { standalone: 8, cluster: 50 } as const

/** The partition whose leader is the coordinator of the group. */
export function partitionOfGroup(groupId: string, partitions: number): number {
  return (murmur2(Buffer.from(groupId)) & 0x7fff_ffff) % partitions
}

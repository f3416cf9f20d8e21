/** Offsets are kept for a time after nobody subscribes to their topic any more, and groups as long as they have some. */
import { DEFAULT_GROUP_SETTINGS } from '../core/group-settings.ts'
import type { TopicId } from '../core/ids.ts'
import type { Group } from './group.ts'
import { removal } from './group-offsets.ts'
import type { GroupRecord } from './group-records.ts'

/** What is to be forgotten of a group at this time. */
export function expired(group: Group, nowMs: number): readonly GroupRecord[] {
  const { id: groupId, value, members, offsets, topics } = group
  const { offsetsRetentionMs } = value ?? DEFAULT_GROUP_SETTINGS
  const beforeMs = nowMs - offsetsRetentionMs
  const records: GroupRecord[] = []
  let kept = 0
  for (const [topicId, partition, { committedAtMs }] of offsets.entries()) {
    if (Math.max(unusedSince(group, topicId), committedAtMs) > beforeMs) kept++
    else records.push({ kind: 'offset', groupId, topicId, partition, value: null })
  }
  const isOver = members.size === 0 && kept === 0 && (value?.emptySinceMs ?? 0) <= beforeMs
  if (isOver) return removal(group)
  for (const [topicId, { unsubscribedSinceMs }] of topics) {
    if (unsubscribedSinceMs === -1 || unsubscribedSinceMs > beforeMs) continue
    if (offsets.ofTopic(topicId).size === 0) {
      records.push({ kind: 'topic', groupId, topicId, value: null })
    }
  }
  return records
}

/** Since when nobody in the group reads the topic; infinite while somebody does. */
function unusedSince({ value, members, topics }: Group, topicId: TopicId): number {
  const topic = topics.get(topicId)
  if (topic === undefined) return members.size === 0 ? (value?.emptySinceMs ?? 0) : 0
  return topic.unsubscribedSinceMs === -1 ? Number.POSITIVE_INFINITY : topic.unsubscribedSinceMs
}

/** What a member is told about itself, and with it the records that were found for it. */
import type { Member, TopicPartitions } from '../../wire/group-members.ts'
import type { MemberView } from '../../wire/groups.ts'
import type { PageRenderer } from '../page-renderer.ts'
import type { BatchSlice } from '../read-selection.ts'
import type { GroupSelection } from './group-reader.ts'

export function memberAnswer(view: MemberView): Member {
  const { memberId, memberEpoch, heartbeatIntervalMs, sessionTimeoutMs, rebalanceTimeoutMs } = view
  return {
    memberId,
    memberEpoch,
    assigned: byTopic(view.assigned),
    revoking: byTopic(view.revoking),
    heartbeatIntervalMs,
    sessionTimeoutMs,
    rebalanceTimeoutMs,
  }
}

/** Topics by name, their partitions in order. */
export function byTopic(
  owned: readonly { readonly topic: string; readonly partition: number }[],
): TopicPartitions[] {
  const topics = new Map<string, number[]>()
  for (const { topic, partition } of owned) {
    const partitions = topics.get(topic)
    if (partitions === undefined) topics.set(topic, [partition])
    else partitions.push(partition)
  }
  return [...topics]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([topic, partitions]) => ({ topic, partitions: partitions.sort((a, b) => a - b) }))
}

/** JSON: the records, the cursor behind them, `more`, and what the member is told. */
export function groupPage(
  renderer: PageRenderer,
  { view, after, slices }: GroupSelection,
  more: Readonly<Record<string, unknown>> = {},
): Buffer {
  const told = JSON.stringify({ cursor: after.cursor(), ...more, ...memberAnswer(view) })
  // Between partitions there is no order, and what is prepared for a topic serves all of its records.
  const inTurn = after.topics.length > 1 ? slices.toSorted(byTopicId) : slices
  return renderer.renderJson(inTurn, (topicId) => after.in(topicId).topic, told.slice(1))
}

function byTopicId(a: BatchSlice, b: BatchSlice): number {
  if (a.topicId === b.topicId) return 0
  return a.topicId < b.topicId ? -1 : 1
}

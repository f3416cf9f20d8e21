/** What a member is told about itself, and with it the records that were found for it. */
import type { TopicId } from '../../core/ids.ts'
import type { Member, TopicPartitions } from '../../wire/group-members.ts'
import type { MemberView } from '../../wire/groups.ts'
import type { PageRenderer } from '../page-renderer.ts'
import { recordsOfPage } from '../page-renderer.ts'
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
  selection: GroupSelection,
  more: Readonly<Record<string, unknown>> = {},
): Buffer {
  const { view, after } = selection
  const told = JSON.stringify({ cursor: after.cursor(), ...more, ...memberAnswer(view) })
  const parts: Buffer[] = []
  for (const [topicId, slices] of slicesByTopic(selection.slices)) {
    const from = selection.start.in(topicId)
    const to = after.in(topicId)
    const cursor = to.cursor()
    const range = `${from.offsetsText()}.${cursor}`
    const page = renderer.cached(range, to.topic, slices, cursor, 'json')
    parts.push(parts.length === 0 ? OPENING : COMMA, recordsOfPage(page, cursor))
  }
  if (parts.length === 0) parts.push(OPENING)
  parts.push(Buffer.from(`],${told.slice(1)}`))
  return Buffer.concat(parts)
}

const OPENING = Buffer.from('{"records":[')
const COMMA = Buffer.from(',')

function slicesByTopic(slices: readonly BatchSlice[]): Map<TopicId, BatchSlice[]> {
  const topics = new Map<TopicId, BatchSlice[]>()
  for (const slice of slices) {
    const known = topics.get(slice.topicId)
    if (known === undefined) topics.set(slice.topicId, [slice])
    else known.push(slice)
  }
  return topics
}

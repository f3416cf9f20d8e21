/** Who of a group is to read what, by the assignor that it has; and the `range` assignor. */
import type { AssignableMember, TargetAssignment } from './assignable.ts'
import { subscribersByTopic } from './assignable.ts'
import type { Assignor } from './group-settings.ts'
import { PartitionMap } from './partition-map.ts'
import { StickyAssignment } from './sticky-assignment.ts'

export function assignPartitions(
  assignor: Assignor,
  members: readonly AssignableMember[],
): TargetAssignment {
  const inOrder = members.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  return assignor === 'range' ? rangeAssignment(inOrder) : new StickyAssignment(inOrder).run()
}

/** Of each topic every member has a run of neighbours, so that partitions of one number go together. */
function rangeAssignment(members: readonly AssignableMember[]): TargetAssignment {
  const target: TargetAssignment = new PartitionMap()
  for (const [topic, unordered] of subscribersByTopic(members)) {
    const indexes = unordered.toSorted((a, b) => a - b)
    const least = Math.floor(topic.partitions / indexes.length)
    const withOneMore = topic.partitions % indexes.length
    let partition = 0
    for (const [rank, index] of indexes.entries()) {
      const { memberId } = members[index] as AssignableMember
      const end = partition + least + (rank < withOneMore ? 1 : 0)
      for (; partition < end; partition++) target.set(topic.topicId, partition, memberId)
    }
  }
  return target
}

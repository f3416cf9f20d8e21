/** What is to be read, and by whom it can be: the question that assignors answer. */
import type { MemberId } from './group-settings.ts'
import type { TopicId } from './ids.ts'
import type { PartitionMap } from './partition-map.ts'

export interface AssignableTopic {
  readonly topicId: TopicId
  readonly partitions: number
  /** Where the replicas of a partition are; empty where it does not matter. */
  racksOf(partition: number): readonly string[]
}

export interface AssignablePlace {
  readonly topic: AssignableTopic
  readonly partition: number
}

export interface AssignableMember {
  readonly memberId: MemberId
  /** Instance id of a static member, else the member id: the order that outlasts a restart. */
  readonly name: string
  /** Empty if unknown. */
  readonly rack: string
  /** What it subscribes to. Members of the same subscription share the array. */
  readonly topics: readonly AssignableTopic[]
  /** What it has and need not give up as things are. */
  readonly assigned: PartitionMap<unknown>
}

/** Each partition that somebody subscribes to has one member. */
export type TargetAssignment = PartitionMap<MemberId>

/** Topics by who subscribes to them: members that share a subscription are looked at once. */
export function subscribersByTopic(
  members: readonly AssignableMember[],
): Map<AssignableTopic, number[]> {
  const subscriptions = new Map<readonly AssignableTopic[], number[]>()
  for (const [index, { topics }] of members.entries()) {
    const same = subscriptions.get(topics)
    if (same === undefined) subscriptions.set(topics, [index])
    else same.push(index)
  }
  const subscribers = new Map<AssignableTopic, number[]>()
  for (const [topics, indexes] of subscriptions) {
    for (const topic of topics) {
      const others = subscribers.get(topic)
      subscribers.set(topic, others === undefined ? indexes : [...others, ...indexes])
    }
  }
  return subscribers
}

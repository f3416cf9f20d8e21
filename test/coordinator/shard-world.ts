/** A shard with its log, without a runtime: each call is answered at once, and each failover starts from the log. */
import { GROUP_CODEC } from '../../src/coordinator/group-codec.ts'
import type { GroupRecord } from '../../src/coordinator/group-records.ts'
import { GroupShard } from '../../src/coordinator/group-shard.ts'
import type { Moment } from '../../src/coordinator/shard.ts'
import type { GroupId } from '../../src/core/group-settings.ts'
import type { RecordInput } from '../../src/core/record.ts'
import type { TopicImage } from '../../src/metadata/metadata-image.ts'
import type { GroupCall, GroupCallKind, GroupReply } from '../../src/wire/group-calls.ts'
import type { Refusal } from '../../src/wire/internal.ts'
import { FakeMetadata } from '../front/topics.ts'

export class ShardWorld {
  readonly metadata: FakeMetadata
  readonly log: RecordInput[] = []
  readonly changes: string[] = []
  nowMs = 1_000_000
  shard: GroupShard

  constructor(topics: readonly TopicImage[]) {
    this.metadata = new FakeMetadata(topics)
    this.shard = this.#newShard()
  }

  get moment(): Moment {
    return { nowMs: this.nowMs, monotonicMs: this.nowMs, image: this.metadata.image }
  }

  call<K extends GroupCallKind>(
    kind: K,
    command: GroupCall<K>['command'],
  ): GroupReply<K> | Refusal {
    return this.begin(kind, command)()
  }

  /** A call whose answer is made later, as when others are handled in the same turn. */
  begin<K extends GroupCallKind>(
    kind: K,
    command: GroupCall<K>['command'],
  ): () => GroupReply<K> | Refusal {
    const handled = this.shard.handle({ kind, command } as GroupCall, this.moment)
    if (!('records' in handled)) return () => handled
    this.#replay(handled.records)
    this.follow()
    return handled.reply as () => GroupReply<K> | Refusal
  }

  /** As `call`, for what must not be refused. */
  done<K extends GroupCallKind>(kind: K, command: GroupCall<K>['command']): GroupReply<K> {
    const reply = this.call(kind, command)
    if (reply !== null && 'ok' in reply) throw new Error(`${kind}: ${reply.code}: ${reply.detail}`)
    return reply as GroupReply<K>
  }

  follow(): void {
    for (let round = 0; round < 1_000; round++) {
      const records = this.shard.follow(this.moment)
      if (records.length === 0) return
      this.#replay(records)
    }
    throw new Error('what follows has no end')
  }

  /** Time passes, and the shard does what it must at each of its deadlines. */
  advance(byMs: number): void {
    const endMs = this.nowMs + byMs
    while (this.shard.nextDeadlineMs <= endMs) {
      this.nowMs = Math.max(this.nowMs, this.shard.nextDeadlineMs)
      this.follow()
    }
    this.nowMs = endMs
    this.follow()
  }

  /** The metadata become known here. */
  topics(topics: readonly TopicImage[]): void {
    this.metadata.set(topics)
    this.follow()
  }

  /** Another node takes over: all that it knows is the log, or what compaction left of it. */
  failOver(compacted: boolean): void {
    this.restore(compacted)
    this.follow()
  }

  /** As `failOver`, before anything follows from what was read. */
  restore(compacted: boolean): void {
    const log = compacted ? this.#compacted() : this.log
    this.shard.close()
    this.shard = this.#newShard()
    for (const { key, value } of log) {
      const record = GROUP_CODEC.decode(key as Uint8Array, value)
      if (record !== undefined) this.shard.replay(record)
    }
  }

  /** What the shard says now, without anything that follows. */
  look<K extends GroupCallKind>(
    kind: K,
    command: GroupCall<K>['command'],
  ): GroupReply<K> | Refusal {
    const handled = this.shard.handle({ kind, command } as GroupCall, this.moment)
    return 'records' in handled ? (handled.reply() as GroupReply<K>) : handled
  }

  describe(groupId: GroupId) {
    return this.done('describe', { groupId })
  }

  /** The last record of each key; half of the deletions are gone. */
  #compacted(): RecordInput[] {
    const last = new Map(
      this.log.map((record, i) => [Buffer.from(record.key as Uint8Array).toString(), i]),
    )
    const kept = this.log.filter((record, i) => {
      return last.get(Buffer.from(record.key as Uint8Array).toString()) === i
    })
    return kept.filter(({ value }, i) => value !== null || i % 2 === 0)
  }

  #newShard(): GroupShard {
    return new GroupShard({
      nodeId: 1,
      onChange: (groupId, memberId) => this.changes.push(`${groupId} ${memberId}`),
    })
  }

  #replay(records: readonly GroupRecord[]): void {
    for (const record of records) {
      this.shard.replay(record)
      this.log.push(GROUP_CODEC.encode(record, this.nowMs))
    }
  }
}

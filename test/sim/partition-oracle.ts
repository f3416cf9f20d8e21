/**
 * All that was ever seen of one partition, over all nodes: which batches exist, how far it is
 * committed, who led it. Whatever contradicts what was seen before is a violation.
 */
import {
  batchBaseOffset,
  batchLastOffset,
  batchLeaderEpoch,
  batchMaxTimestamp,
} from '../../src/core/record-batch.ts'
import { RecordCursor } from '../../src/core/record-cursor.ts'
import { crc32c } from '../../src/lib/crc32c.ts'
import type { EpochStart } from '../../src/storage/leader-epochs.ts'
import { LeaderEpochs } from '../../src/storage/leader-epochs.ts'
import type { ReplicaView } from './cluster-code.ts'

/** The log of a node, as it was when it was last seen. */
export interface LastSeen {
  readonly endOffset: number
  readonly durableEnd: number
  readonly epochs: readonly EpochStart[]
}

/** What is remembered of a replica in one life of its node. */
interface Seen {
  highWatermark: number
  startOffset: number
  /** The last unclean election of which it has heard. */
  uncleanEpoch: number
  /** Batches below it were looked at. */
  scannedEnd: number
}

interface Committed {
  readonly endOffset: number
  readonly maxTimestampMs: number
  readonly print: string
}

/** An operator chose a leader that may lack committed records. */
export interface UncleanElection {
  readonly leaderEpoch: number
  readonly atMs: number
  /** Where the log of the new leader ended. */
  readonly endOffset: number
  /** Up to where it certainly keeps its own. */
  readonly durableEnd: number
  /**
   * What was there from here on is given up: where its log parts from that of the leader before, or
   * where its epoch begins, as the audit tells in the end.
   */
  startOffset: number
}

/** What a topic need not keep; -1 for no limit. */
export interface Retention {
  readonly retentionMs: number
  readonly retentionBytes: number
}

const EPOCH_AT = 12
const CHECKSUM_AT = 17

export class PartitionOracle {
  readonly name: string
  /** All below it was committed by some leader, as far as was seen. */
  committedEnd = 0
  /** The highest that it ever was. */
  shownEnd = 0
  readonly uncleanElections: UncleanElection[] = []
  /** By node. */
  readonly lastSeen = new Map<number, LastSeen>()
  /** Nodes that were seen to lead it. */
  readonly ledBy = new Set<number>()
  /** The latest start of a log of theirs. */
  ledStart = 0
  /** Below it records are deleted for good: it was promised. */
  deletedTo = 0
  /** Below it records may be gone: somebody asked for it, or they were too old or too many. */
  mayStartAt = 0
  retention: Retention = { retentionMs: -1, retentionBytes: -1 }
  /** Replicas then need not have the same batches, and records may be gone that have a later one. */
  isCompacted: boolean = false
  /** How long deletions of keys stay at least. */
  deleteRetentionMs = Number.POSITIVE_INFINITY
  /** Whom of the replicas was seen to lead, by epoch. */
  readonly #leaders = new Map<number, string>()
  /** Of the log of the last leader, which has all that is committed. */
  #ledEpochs: readonly EpochStart[] = []
  #ledEpoch = -1
  /** By epoch and base offset: what distinguishes the batch. */
  readonly #batches = new Map<string, string>()
  /** By base offset. */
  readonly #committed = new Map<number, Committed>()
  readonly #seen = new Map<string, Seen>()
  readonly #violation: (text: string) => void

  constructor(name: string, violation: (text: string) => void) {
    this.name = name
    this.#violation = (text) => violation(`${name}: ${text}`)
  }

  /** `life` names the node and which of its processes it is. */
  look(life: string, view: ReplicaView, isInSync: boolean, nowMs: number): void {
    if (view.damaged) {
      // Whatever it has next, it has anew.
      this.#seen.delete(life)
      return
    }
    if (view.leads) this.#checkLeader(life, view)
    if (this.isCompacted && !isInSync && !view.leads) {
      // Who missed the deletion of a key begins anew.
      this.#seen.delete(life)
      return
    }
    const { uncleanEpoch } = this
    // It has not heard of it yet: nothing that it says of what is committed holds.
    if (view.leaderEpoch < uncleanEpoch) return
    const seen = this.#seenBy(life, view)
    if (seen.uncleanEpoch < uncleanEpoch) {
      // Sooner or later it cuts its log; until then it is like one that has not heard.
      if (!view.leads && !isInSync) return
      seen.uncleanEpoch = uncleanEpoch
      seen.highWatermark = 0
      seen.startOffset = 0
    }
    if (!isInSync && this.#beginsAmid(view, seen)) {
      this.#seen.delete(life)
      return
    }
    if (view.highWatermark < seen.highWatermark) {
      this.#violation(
        `high watermark of ${life} fell from ${seen.highWatermark} to ${view.highWatermark}`,
      )
    }
    if (view.highWatermark > view.endOffset) {
      this.#violation(`high watermark of ${life} is ${view.highWatermark}, behind its end`)
    }
    this.#checkStart(life, view, seen, nowMs)
    // What was cut off may have been replaced.
    seen.scannedEnd = Math.min(seen.scannedEnd, view.endOffset)
    if (view.durableEnd > seen.scannedEnd || view.highWatermark > seen.highWatermark) {
      this.#scan(life, view, seen)
    }
    seen.highWatermark = view.highWatermark
    this.commitTo(view.highWatermark)
  }

  commitTo(offset: number): void {
    this.committedEnd = Math.max(this.committedEnd, offset)
    this.shownEnd = Math.max(this.shownEnd, offset)
  }

  /** What was committed beyond what the leader has is given up. */
  electedUncleanly(leaderEpoch: number, atMs: number, log: LastSeen): void {
    const { endOffset, durableEnd, epochs } = log
    // Its records of an epoch before that of the committed ones were never committed, or given up.
    const fork = forkOf(epochs, this.#ledEpochs)
    const keptEnd = Math.min(durableEnd, fork)
    const startOffset = Math.min(endOffset, fork)
    this.uncleanElections.push({ leaderEpoch, atMs, endOffset, durableEnd, startOffset })
    this.committedEnd = Math.min(this.committedEnd, keptEnd)
    for (const [baseOffset, { endOffset }] of this.#committed) {
      if (endOffset > keptEnd) this.#committed.delete(baseOffset)
    }
  }

  /** Where a log may start: what a leader removed just before it ceased to lead is seen in its log only. */
  get latestStart(): number {
    return Math.max(this.mayStartAt, this.ledStart)
  }

  /** Of the last unclean election, -1 if there was none. */
  get uncleanEpoch(): number {
    return this.uncleanElections.at(-1)?.leaderEpoch ?? -1
  }

  /** Whether a later election gave the offset up again. */
  isGivenUpSince({ leaderEpoch }: UncleanElection, offset: number): boolean {
    return this.uncleanElections.some((later) => {
      return later.leaderEpoch > leaderEpoch && offset >= later.durableEnd
    })
  }

  #isGivenUp(epoch: number, baseOffset: number): boolean {
    return this.uncleanElections.some(({ leaderEpoch, durableEnd }) => {
      return epoch < leaderEpoch && baseOffset >= durableEnd
    })
  }

  /** Compares what a replica has, from wherever it was read, with what was seen elsewhere. */
  compare(who: string, batches: readonly Uint8Array[], highWatermark: number): void {
    for (const batch of batches) {
      const epoch = batchLeaderEpoch(batch)
      for (const { offset, ...content } of this.isCompacted ? recordsIn(batch) : [whole(batch)]) {
        const key = `${epoch}@${offset}`
        const known = this.#batches.get(key)
        if (known === undefined) this.#batches.set(key, content.print)
        else if (known !== content.print) {
          this.#violation(`log matching: ${who} has another batch at ${key} than was seen before`)
        }
        if (content.endOffset > highWatermark || this.#isGivenUp(epoch, offset)) continue
        this.#commit(who, offset, content)
      }
    }
  }

  #commit(who: string, baseOffset: number, committed: Committed): void {
    const known = this.#committed.get(baseOffset)
    if (known === undefined) this.#committed.set(baseOffset, committed)
    else if (known.print !== committed.print) {
      this.#violation(
        `committed at ${baseOffset}: ${who} has ${committed.print}, but ${known.print} was committed`,
      )
    }
  }

  #seenBy(life: string, view: ReplicaView): Seen {
    let seen = this.#seen.get(life)
    if (seen === undefined) {
      const { startOffset } = view
      seen = { highWatermark: 0, startOffset: 0, uncleanEpoch: -1, scannedEnd: startOffset }
      this.#seen.set(life, seen)
    }
    return seen
  }

  /** Whether it has just got the whole of a batch amid which its log starts, or is about to: the part below is deleted. */
  #beginsAmid({ startOffset }: ReplicaView, seen: Seen): boolean {
    if (startOffset >= seen.startOffset) return false
    const batch = this.#committed.get(startOffset)
    return batch !== undefined && batch.endOffset > seen.startOffset
  }

  #checkStart(life: string, view: ReplicaView, seen: Seen, nowMs: number): void {
    const { startOffset } = view
    if (startOffset < seen.startOffset) {
      this.#violation(`the log of ${life} started at ${seen.startOffset}, now at ${startOffset}`)
    }
    seen.startOffset = startOffset
    if (startOffset > view.highWatermark) {
      this.#violation(`the log of ${life} starts at ${startOffset}, behind what is committed`)
    }
    // Followers do as they are told.
    if (!view.leads || startOffset <= this.mayStartAt) return
    if (!this.#mayBeGone(view, nowMs)) {
      this.#violation(`the log of ${life} starts at ${startOffset}, for which there is no reason`)
    }
    this.mayStartAt = startOffset
  }

  /** Whether all below the start is too old, or what is left is as much as is to be kept. */
  #mayBeGone({ startOffset, sizeBytes }: ReplicaView, nowMs: number): boolean {
    const { retentionMs, retentionBytes } = this.retention
    if (retentionBytes !== -1 && sizeBytes >= retentionBytes) return true
    if (retentionMs === -1) return false
    for (const [baseOffset, { maxTimestampMs }] of this.#committed) {
      const isGone = baseOffset >= this.mayStartAt && baseOffset < startOffset
      if (isGone && nowMs - maxTimestampMs <= retentionMs) return false
    }
    return true
  }

  #checkLeader(life: string, view: ReplicaView): void {
    const known = this.#leaders.get(view.leaderEpoch)
    if (known === undefined) this.#leaders.set(view.leaderEpoch, life)
    else if (known !== life) {
      this.#violation(`two leaders of epoch ${view.leaderEpoch}: ${known} and ${life}`)
    }
    if (view.leaderEpoch < this.#ledEpoch) return
    this.#ledEpoch = view.leaderEpoch
    this.#ledEpochs = view.epochs
  }

  #scan(life: string, view: ReplicaView, seen: Seen): void {
    const from = Math.min(seen.scannedEnd, seen.highWatermark)
    // What is not durable the storage may still take back, when the disk turns out to be full.
    const end = Math.max(view.durableEnd, view.highWatermark)
    const batches = view.readMemory(Math.max(from, view.startOffset), end)
    // What left memory is read from disk, and compared, at the end.
    if (batches !== undefined) this.compare(life, batches, view.highWatermark)
    seen.scannedEnd = end
  }
}

/** From where on two logs have records of different epochs. */
function forkOf(one: readonly EpochStart[], other: readonly EpochStart[]): number {
  const epochs = [new LeaderEpochs(one), new LeaderEpochs(other)]
  const differ = [...one, ...other].flatMap(({ startOffset }) => {
    const found = new Set(epochs.map((log) => log.epochAt(startOffset)))
    return found.has(-1) || found.size === 1 ? [] : [startOffset]
  })
  return Math.min(...differ)
}

function whole(batch: Uint8Array): Committed & { offset: number } {
  return {
    offset: batchBaseOffset(batch),
    endOffset: batchLastOffset(batch) + 1,
    maxTimestampMs: batchMaxTimestamp(batch),
    print: printOf(batch),
  }
}

/** What no compaction changes as long as it leaves the record. */
function* recordsIn(batch: Uint8Array): Generator<Committed & { offset: number }> {
  const cursor = new RecordCursor()
  cursor.reset(batch)
  while (cursor.next()) {
    const { offset, keyStart, keyEnd, valueStart, valueEnd } = cursor
    const [key, value] = [crc32c(batch, keyStart, keyEnd), crc32c(batch, valueStart, valueEnd)]
    const print = `${batchLeaderEpoch(batch)}/${key}/${valueStart === -1 ? 'none' : value}`
    yield { offset, endOffset: offset + 1, maxTimestampMs: batchMaxTimestamp(batch), print }
  }
}

/** All of a batch but its base offset; what it says to be its checksum proves nothing. */
function printOf(batch: Uint8Array): string {
  const view = new DataView(batch.buffer, batch.byteOffset, batch.length)
  const epoch = view.getInt32(EPOCH_AT)
  return `${epoch}/${crc32c(batch, CHECKSUM_AT).toString(16)}/${batch.length}`
}

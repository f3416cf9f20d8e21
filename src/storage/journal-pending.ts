/** Frames on their way to the journal: gathered into groups, bounded, each group with one promise. */
import { ServiceError } from '../lib/service-error.ts'
import type { GroupKind, KnownChecksum } from './journal-group.ts'
import { FRAME_HEADER_BYTES, GROUP_KIND, GroupBuilder, groupBytes } from './journal-group.ts'

export class PendingGroup {
  readonly builder: GroupBuilder
  readonly frameSequence: number
  readonly kind: GroupKind
  readonly settled = Promise.withResolvers<void>()

  constructor(builder: GroupBuilder, frameSequence: number, kind: GroupKind) {
    builder.clear()
    this.builder = builder
    this.frameSequence = frameSequence
    this.kind = kind
    // Whoever appended handles the rejection; a seal has nobody.
    this.settled.promise.catch(() => undefined)
  }

  /** Space that it takes in a file. */
  get sizeBytes(): number {
    return this.builder.sizeBytes
  }

  finish(epoch: bigint, groupSequence: number): Uint8Array {
    return this.builder.finish(this.kind, epoch, groupSequence, this.frameSequence)
  }
}

/** Builders kept for reuse: one is being written, one gathers. */
const BUILDERS_KEPT = 2

export class PendingGroups {
  readonly #capacityBytes: number
  readonly #limitBytes: number
  readonly #free: GroupBuilder[] = []
  /** In order; the last one still takes frames. */
  readonly #waiting: PendingGroup[] = []
  #taken: PendingGroup | undefined
  #bytes = 0

  constructor(capacityBytes: number, limitBytes: number) {
    this.#capacityBytes = capacityBytes
    this.#limitBytes = limitBytes
  }

  /** Bytes of frames not yet settled. */
  get bytes(): number {
    return this.#bytes
  }

  /** Space that the groups still waiting will take. */
  get waitingBytes(): number {
    return this.#waiting.reduce((sum, group) => sum + group.sizeBytes, 0)
  }

  /** @throws ServiceError `overloaded` */
  add(
    sequence: number,
    kind: number,
    logId: number,
    parts: readonly Uint8Array[],
    payloadBytes: number,
    known?: KnownChecksum,
  ): Promise<void> {
    const frameBytes = FRAME_HEADER_BYTES + payloadBytes
    if (this.#bytes > 0 && this.#bytes + frameBytes > this.#limitBytes) {
      throw new ServiceError('overloaded', 'too many bytes wait for the disk', {
        retryAfterMs: 1000,
      })
    }
    let group = this.#waiting.at(-1)
    if (group === undefined || !group.builder.fits(frameBytes)) {
      group = new PendingGroup(this.#builderFor(frameBytes), sequence, GROUP_KIND.frames)
      this.#waiting.push(group)
    }
    group.builder.add(kind, logId, parts, payloadBytes, known)
    this.#bytes += frameBytes
    return group.settled.promise
  }

  /** The group to write next; it takes no more frames, and is settled before another is taken. */
  take(): PendingGroup | undefined {
    this.#taken = this.#waiting.shift()
    return this.#taken
  }

  /** The group that was taken is durable. */
  done(): void {
    const group = this.#taken
    if (group === undefined) return
    this.#taken = undefined
    this.#bytes -= group.builder.framesBytes
    const { builder } = group
    if (builder.capacityBytes === this.#capacityBytes && this.#free.length < BUILDERS_KEPT) {
      this.#free.push(builder)
    }
    group.settled.resolve()
  }

  /** Rejects the group that was taken and all that wait: later frames may build on earlier ones. */
  rejectAll(error: Error): void {
    const taken = this.#taken === undefined ? [] : [this.#taken]
    this.#taken = undefined
    this.#bytes = 0
    for (const group of [...taken, ...this.#waiting.splice(0)]) group.settled.reject(error)
  }

  #builderFor(frameBytes: number): GroupBuilder {
    const neededBytes = groupBytes(frameBytes)
    if (neededBytes > this.#capacityBytes) return new GroupBuilder(neededBytes)
    return this.#free.pop() ?? new GroupBuilder(this.#capacityBytes)
  }
}

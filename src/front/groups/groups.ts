/** What a front does for groups, put together. Holds nothing that a member depends on. */
import type { Clock } from '../../env/clock.ts'
import type { Logger } from '../../env/logger.ts'
import type { Metrics } from '../../env/metrics.ts'
import type { Random } from '../../env/random.ts'
import { Gate } from '../../lib/gate.ts'
import type { MetadataView } from '../../metadata/metadata-image.ts'
import { ByteWriter } from '../../wire/byte-writer.ts'
import type { GroupService } from '../../wire/groups.ts'
import type { StorageService } from '../../wire/internal.ts'
import { PageRenderer } from '../page-renderer.ts'
import { GroupLag } from './group-lag.ts'
import { GroupMembers } from './group-members.ts'
import { GroupOffsets } from './group-offsets.ts'
import { GroupPoll } from './group-poll.ts'
import { GroupReader } from './group-reader.ts'
import { GroupWaits } from './group-waits.ts'
import { MemberStreams } from './member-streams.ts'

export interface GroupsDeps {
  readonly clock: Clock
  readonly storage: StorageService
  readonly metadata: MetadataView
  readonly logger: Logger
  readonly metrics: Metrics
  readonly random: Random
  readonly service: GroupService
}

export interface GroupsOptions {
  /** Members that may wait for records at once; 20,000. */
  readonly waitingMembers?: number
}

/** Streams that hold what they fetched; a batch may have 16 MiB. */
const READERS_AT_ONCE = 8

export class Groups {
  readonly service: GroupService
  readonly members: GroupMembers
  readonly reader: GroupReader
  readonly poll: GroupPoll
  readonly offsets: GroupOffsets
  readonly lag: GroupLag
  readonly streams: MemberStreams
  readonly renderer: PageRenderer
  readonly #waits: GroupWaits

  constructor(deps: GroupsDeps, options: GroupsOptions = {}) {
    this.service = deps.service
    this.renderer = new PageRenderer()
    this.#waits = new GroupWaits(deps, options.waitingMembers ?? 20_000)
    this.members = new GroupMembers(deps)
    this.offsets = new GroupOffsets(deps)
    this.lag = new GroupLag(deps)
    const parts = { ...deps, members: this.members, offsets: this.offsets }
    this.reader = new GroupReader({ ...parts, waits: this.#waits })
    this.poll = new GroupPoll({ ...parts, reader: this.reader })
    const streaming = { gate: new Gate(READERS_AT_ONCE), out: new ByteWriter() }
    this.streams = new MemberStreams({ ...parts, ...streaming })
    deps.metrics.gauge(
      'curlew_waiting_members',
      'Members of groups that wait for records.',
      () => this.#waits.size,
    )
    deps.metrics.gauge(
      'curlew_member_streams',
      'Open streams of members of groups.',
      () => this.streams.streams,
    )
  }

  /** Answers what waits, with nothing, and ends the streams. */
  drain(): void {
    this.#waits.drain()
    this.streams.endAll('draining')
  }
}

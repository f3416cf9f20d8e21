/** Turns what storage refuses into the error that a client meets: offsets become cursors. */
import { ServiceError } from '../lib/service-error.ts'
import type { TopicImage } from '../metadata/metadata-image.ts'
import type { Refusal } from '../wire/internal.ts'
import { ReadPositions } from './read-positions.ts'

/** Members of a refusal that name an offset of its partition. */
const OFFSET_MEMBERS = ['earliest', 'tail'] as const

/** `positions` are those of the read; the cursor of an append has its one partition only. */
export function refusalError(
  refusal: Refusal,
  topic: TopicImage,
  partition: number,
  positions?: Pick<ReadPositions, 'cursorAt'>,
): ServiceError {
  const { code, detail, committed } = refusal
  const { leaderEpoch = -1, ...rest } = refusal.members ?? {}
  const members: Record<string, string | number> = rest
  const read = positions ?? new ReadPositions(topic, [partition], [0], [-1])
  for (const name of OFFSET_MEMBERS) {
    const offset = members[name]
    if (typeof offset !== 'number') continue
    members[name] = read.cursorAt(partition, { offset, leaderEpoch: Number(leaderEpoch) })
    members['partition'] = partition
    members['offset'] = offset
  }
  return new ServiceError(code, detail, { committed, members })
}

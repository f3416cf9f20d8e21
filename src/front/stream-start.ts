/** Where a stream starts. A partition that nobody can serve just now does not hold up the others. */
import { ERRORS, ServiceError } from '../lib/service-error.ts'
import type { TopicImage } from '../metadata/metadata-image.ts'
import type { StorageService } from '../wire/internal.ts'
import { ReadPositions } from './read-positions.ts'
import type { ReadRange, ReadStart } from './read-start.ts'
import { parseStart } from './read-start.ts'
import { refusalError } from './refusal.ts'

export interface StreamStart {
  readonly positions: ReadPositions
  /** Partitions whose position is a placeholder (the start, so that a reconnect misses nothing), and why. */
  readonly unresolved: ReadonlyMap<number, ServiceError>
  /** Asks again for the position of such a partition. */
  readonly resolve: (partition: number) => Promise<{ offset: number; lastEpoch: number }>
}

/** @throws ServiceError for what is wrong with the request, a position past the end included */
export async function startStream(
  topic: TopicImage,
  range: ReadRange,
  storage: StorageService,
): Promise<StreamStart> {
  const start = parseStart(topic, range)
  const resolve = async (partition: number) => storage.resolveOffset(topic.id, partition, start.at)
  const unresolved = new Map<number, ServiceError>()
  const positions = await Promise.all(
    start.partitions.map(async (partition) => {
      const known = start.known.get(partition)
      if (known !== undefined) return known
      try {
        return { partition, ...(await resolve(partition)) }
      } catch (error) {
        if (!isPassing(error)) throw error
        unresolved.set(partition, error)
        return { partition, offset: 0, lastEpoch: -1 }
      }
    }),
  )
  const read = ReadPositions.of(topic, positions)
  await Promise.all(start.partitions.map((partition) => checkEnd(start, read, partition, storage)))
  return { positions: read, unresolved, resolve }
}

/** An answer other than a stream is the only thing that stops a browser from trying again. */
async function checkEnd(
  start: ReadStart,
  positions: ReadPositions,
  partition: number,
  storage: StorageService,
): Promise<void> {
  const known = start.known.get(partition)
  if (known === undefined) return
  try {
    const { logEndOffset } = await storage.offsets(start.topic.id, partition)
    if (known.offset <= logEndOffset) return
    const refusal = {
      ok: false as const,
      code: 'offset-out-of-range' as const,
      detail: `offset ${known.offset} of partition ${partition} is past the end`,
      committed: 'no' as const,
      members: { tail: logEndOffset },
    }
    throw refusalError(refusal, start.topic, partition, positions)
  } catch (error) {
    if (!isPassing(error)) throw error
  }
}

function isPassing(error: unknown): error is ServiceError {
  return error instanceof ServiceError && ERRORS[error.code].retryable
}

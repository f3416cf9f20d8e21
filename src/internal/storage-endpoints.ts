/** Serves what fronts ask of a storage node, over the node's own storage service. */
import type { Clock } from '../env/clock.ts'
import { decodeAppend } from '../wire/append-codec.ts'
import { encodeAppendFrame } from '../wire/append-frames.ts'
import { decodeFetchRequest, encodeFetchAnswer } from '../wire/fetch-codec.ts'
import type { StorageService } from '../wire/internal.ts'
import {
  decodeDeleteRecords,
  decodePartitionCall,
  decodePlaces,
  decodeResolveOffset,
  encodeControl,
} from '../wire/storage-control.ts'

import type { InternalReply, InternalRequest } from './internal-handler.ts'
import type { InternalService } from './internal-service.ts'
import { PATHS } from './paths.ts'
import { ResultStream } from './result-stream.ts'

/** How long the head of an answer waits for the first result, so that both leave in one write. */
const HEAD_DELAY_MS = 5

export function registerStorageEndpoints(
  service: InternalService,
  storage: StorageService,
  clock: Clock,
): void {
  service.register(PATHS.append, (request) => append(storage, clock, request))
  service.register(PATHS.fetch, async ({ body, signal }) => {
    const results = await storage.fetch(decodeFetchRequest(body), signal)
    return { parts: encodeFetchAnswer(results) }
  })
  service.register(PATHS.offsets, async ({ body }) => {
    const { topicId, partition } = decodePartitionCall(body)
    return { parts: [encodeControl(await storage.offsets(topicId, partition))] }
  })
  service.register(PATHS.offsetsOf, async ({ body }) => {
    return { parts: [encodeControl({ offsets: await storage.offsetsOf(decodePlaces(body)) })] }
  })
  service.register(PATHS.resolveOffset, async ({ body }) => {
    const { topicId, partition, at } = decodeResolveOffset(body)
    return { parts: [encodeControl(await storage.resolveOffset(topicId, partition, at))] }
  })
  service.register(PATHS.deleteRecords, async ({ body }) => {
    const { topicId, partition, before } = decodeDeleteRecords(body)
    return { parts: [encodeControl(await storage.deleteRecords(topicId, partition, before))] }
  })
}

/**
 * The reply is there when every request has its offset or is refused: whoever sends the next call
 * after the head of this answer knows that it comes behind.
 */
async function append(
  storage: StorageService,
  clock: Clock,
  { body, signal }: InternalRequest,
): Promise<InternalReply> {
  const requests = decodeAppend(body)
  const { promise: admitted, resolve: admit } = Promise.withResolvers<void>()
  const stream = new ResultStream(storage.append(requests, signal, admit), encodeAppendFrame)
  void stream.last.then(admit)
  await admitted
  const timer = clock.timer(HEAD_DELAY_MS, () => stream.hurry())
  await stream.first
  timer.cancel()
  return stream.reply
}

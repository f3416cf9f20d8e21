/** Serves fronts, which have no credentials of the store: they follow and change the metadata through this node. */
import type { InternalService } from '../internal/internal-service.ts'
import { PATHS } from '../internal/paths.ts'
import { ServiceError } from '../lib/service-error.ts'
import {
  decodeFeedKey,
  decodeFeedRequest,
  decodeFeedTransaction,
  encodeFeed,
} from '../wire/metadata-feed.ts'
import type { MetadataFeed } from './metadata-feed.ts'
import type { MetadataStore } from './metadata-store.ts'

export function registerMetadataEndpoints(
  service: InternalService,
  feed: MetadataFeed,
  store: MetadataStore,
): void {
  service.register(
    PATHS.metadata,
    async ({ body, signal }) => ({
      parts: [encodeFeed(await feed.ask(decodeFeedRequest(body), signal))],
    }),
    { bootstrap: true },
  )
  service.register(PATHS.metadataGet, async ({ body }) => {
    const entry = await store.get(decodeFeedKey(body))
    return { parts: [encodeFeed({ entry })] }
  })
  service.register(PATHS.metadataTransact, async ({ body }) => {
    try {
      return { parts: [encodeFeed(await store.transact(decodeFeedTransaction(body)))] }
    } catch (error) {
      throw error instanceof ServiceError ? error : noAnswer(error)
    }
  })
}

function noAnswer(cause: unknown): ServiceError {
  return new ServiceError('outcome-unknown', 'the metadata store did not answer', { cause })
}

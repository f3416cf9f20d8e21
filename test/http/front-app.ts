/** The routes of records over a storage in memory; time moves when told. */
import { nullLogger } from '../../src/env/logger.ts'
import { nullMetrics } from '../../src/env/metrics.ts'
import type { FrontOptions } from '../../src/front/front.ts'
import { Front } from '../../src/front/front.ts'
import { Groups } from '../../src/front/groups/groups.ts'
import type { AppOptions } from '../../src/http/app.ts'
import { deleteRecordsRoutes } from '../../src/http/public/delete-records-routes.ts'
import { groupAdminRoutes } from '../../src/http/public/group-admin-routes.ts'
import { groupMemberRoutes } from '../../src/http/public/group-member-routes.ts'
import { groupOffsetRoutes } from '../../src/http/public/group-offset-routes.ts'
import { groupStreamRoutes } from '../../src/http/public/group-stream-routes.ts'
import { produceRoutes } from '../../src/http/public/produce-routes.ts'
import { publishRoutes } from '../../src/http/public/publish-routes.ts'
import { readRoutes } from '../../src/http/public/read-routes.ts'
import { recordRoutes } from '../../src/http/public/record-routes.ts'
import { streamRoutes } from '../../src/http/public/stream-routes.ts'
import type { SseStreamsOptions } from '../../src/http/sse-streams.ts'
import { SseStreams } from '../../src/http/sse-streams.ts'
import { ServiceError } from '../../src/lib/service-error.ts'
import type { TopicImage } from '../../src/metadata/metadata-image.ts'
import { FakeGroups } from '../front/fake-groups.ts'
import { FakeStorage } from '../front/fake-storage.ts'
import { FakeMetadata } from '../front/topics.ts'
import { fixedRandom, ManualClock, testApp } from './test-app.ts'

export interface FrontAppOptions extends Partial<SseStreamsOptions> {
  readonly front?: FrontOptions
  readonly app?: Partial<AppOptions>
  /** What auto-creation makes of an unknown name; refused if absent. */
  readonly create?: (name: string) => TopicImage
}

export function frontApp(topics: readonly TopicImage[], options: FrontAppOptions = {}) {
  const clock = new ManualClock()
  const storage = new FakeStorage(clock)
  const metadata = new FakeMetadata(topics)
  const autoCreate = async (name: string) => {
    if (options.create === undefined) throw new ServiceError('topic-not-found', `no topic ${name}`)
    return options.create(name)
  }
  const front = new Front(
    {
      clock,
      storage,
      metadata,
      topics: { autoCreate },
      logger: nullLogger,
      metrics: nullMetrics,
    },
    options.front,
  )
  const streams = new SseStreams(
    { clock, random: fixedRandom(), metrics: nullMetrics },
    { maxStreams: 100, ...options },
  )
  const service = new FakeGroups({ metadata, clock })
  const groups = new Groups({
    clock,
    storage,
    metadata,
    logger: nullLogger,
    metrics: nullMetrics,
    random: fixedRandom(),
    service,
  })
  const app = testApp({ clock, draining: () => front.isDraining }, options.app)
  publishRoutes(app, { front })
  produceRoutes(app, { front })
  readRoutes(app, { front })
  recordRoutes(app, { front })
  streamRoutes(app, { front, streams })
  deleteRecordsRoutes(app, { front })
  groupMemberRoutes(app, { front, groups, metadata })
  groupOffsetRoutes(app, { front, groups, metadata })
  groupAdminRoutes(app, { front, groups, metadata })
  groupStreamRoutes(app, { front, groups, streams })
  app.addHook('onClose', (_app, done) => {
    streams.close()
    front.close()
    groups.drain()
    done()
  })
  return { app, clock, storage, metadata, front, streams, groups, service }
}

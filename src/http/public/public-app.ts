/** Puts the public application together: every route of the contract, and the pages beside it. */
import type { Front } from '../../front/front.ts'
import type { Groups } from '../../front/groups/groups.ts'
import type { OfflinePartitions } from '../../front/offline-partitions.ts'
import type { PartitionElections } from '../../front/partition-elections.ts'
import type { TopicAdmin } from '../../front/topic-admin.ts'
import { VERSION } from '../../lib/version.ts'
import type { MetadataView } from '../../metadata/metadata-image.ts'
import type { StorageService } from '../../wire/internal.ts'
import type { App, AppDeps, AppOptions } from '../app.ts'
import { buildApp } from '../app.ts'
import { docsRoutes } from '../docs-routes.ts'
import { healthRoutes } from '../health-routes.ts'
import { registerOpenApi } from '../openapi.ts'
import { problemsRoutes } from '../problems-routes.ts'
import { SseStreams } from '../sse-streams.ts'
import { clusterRoutes } from './cluster-routes.ts'
import { deleteRecordsRoutes } from './delete-records-routes.ts'
import { electionRoutes } from './election-routes.ts'
import { groupAdminRoutes } from './group-admin-routes.ts'
import { groupMemberRoutes } from './group-member-routes.ts'
import { groupOffsetRoutes } from './group-offset-routes.ts'
import { groupStreamRoutes } from './group-stream-routes.ts'
import { offlineRoutes } from './offline-routes.ts'
import { produceRoutes } from './produce-routes.ts'
import { publishRoutes } from './publish-routes.ts'
import { readRoutes } from './read-routes.ts'
import { recordRoutes } from './record-routes.ts'
import { streamRoutes } from './stream-routes.ts'
import { topicsRoutes } from './topics-routes.ts'

export interface PublicAppDeps extends AppDeps {
  readonly front: Front
  readonly groups: Groups
  readonly topics: TopicAdmin
  readonly elections: PartitionElections
  readonly offline: OfflinePartitions
  readonly storage: Pick<StorageService, 'offsetsOf'>
  readonly metadata: MetadataView
  /** Id of the node that now is the controller, -1 for none. */
  readonly controller: () => number
  /** Why the node cannot serve now, for people; empty when it can. */
  readonly notReady: () => readonly string[]
}

export interface PublicAppOptions extends AppOptions {
  /** Streams that may be open at once. */
  readonly maxStreams: number
}

export async function buildPublicApp(deps: PublicAppDeps, options: PublicAppOptions): Promise<App> {
  const app = buildApp(deps, options)
  const streams = new SseStreams(deps, options)
  app.addHook('onClose', (_app, done) => {
    streams.close()
    done()
  })
  await registerOpenApi(app)
  topicsRoutes(app, deps)
  publishRoutes(app, deps)
  produceRoutes(app, deps)
  readRoutes(app, deps)
  recordRoutes(app, deps)
  streamRoutes(app, { ...deps, streams })
  groupAdminRoutes(app, deps)
  groupMemberRoutes(app, deps)
  groupOffsetRoutes(app, deps)
  groupStreamRoutes(app, { ...deps, streams })
  deleteRecordsRoutes(app, deps)
  electionRoutes(app, deps)
  offlineRoutes(app, deps)
  clusterRoutes(app, { ...deps, softwareVersion: VERSION })
  healthRoutes(app, deps)
  problemsRoutes(app)
  docsRoutes(app)
  return app
}

/** Puts the public application together: every route of the contract, and the pages beside it. */
import type { Front } from '../../front/front.ts'
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
import { clusterRoutes } from './cluster-routes.ts'
import { produceRoutes } from './produce-routes.ts'
import { publishRoutes } from './publish-routes.ts'
import { topicsRoutes } from './topics-routes.ts'

export interface PublicAppDeps extends AppDeps {
  readonly front: Front
  readonly topics: TopicAdmin
  readonly storage: Pick<StorageService, 'offsets'>
  readonly metadata: MetadataView
  /** Id of the node that now is the controller, -1 for none. */
  readonly controller: () => number
  /** Why the node cannot serve now, for people; empty when it can. */
  readonly notReady: () => readonly string[]
}

export async function buildPublicApp(deps: PublicAppDeps, options: AppOptions): Promise<App> {
  const app = buildApp(deps, options)
  await registerOpenApi(app)
  topicsRoutes(app, deps)
  publishRoutes(app, deps)
  produceRoutes(app, deps)
  clusterRoutes(app, { ...deps, softwareVersion: VERSION })
  healthRoutes(app, deps)
  problemsRoutes(app)
  docsRoutes(app)
  return app
}

/** What operators ask of a node that answers no clients: is it alive, can it serve, what does it measure. */
import type { App, AppDeps } from './app.ts'
import { buildApp } from './app.ts'
import type { HealthRoutesDeps } from './health-routes.ts'
import { healthRoutes } from './health-routes.ts'

const KIB = 1024

export function buildOpsApp(deps: Omit<AppDeps, 'draining'> & HealthRoutesDeps): App {
  // Probes are to be answered until the very end.
  const app = buildApp(
    { ...deps, draining: () => false },
    {
      corsOrigins: [],
      allowedHosts: [],
      loopback: false,
      maxConnections: 256,
      maxRequestBytes: KIB,
      maxBodyMemoryBytes: 64 * KIB,
    },
  )
  healthRoutes(app, deps)
  return app
}

/** Probes for orchestrators, and measurements for Prometheus. */
import { Type } from 'typebox'
import type { Metrics } from '../env/metrics.ts'
import { ref, Words } from '../wire/schema.ts'
import type { App } from './app.ts'
import { registerSchemas } from './route-rules.ts'

export interface HealthRoutesDeps {
  readonly metrics: Metrics
  /** Why the node cannot serve now, for people; empty when it can. */
  readonly notReady: () => readonly string[]
}

const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'
const TAGS = ['operations']

const Readiness = Type.Object(
  { status: Words(['ready', 'not ready']), reasons: Type.Array(Type.String()) },
  { $id: 'Readiness', additionalProperties: false },
)

export function healthRoutes(app: App, { metrics, notReady }: HealthRoutesDeps): void {
  registerSchemas(app, Readiness)
  app.get(
    '/healthz',
    {
      schema: {
        operationId: 'getHealth',
        summary: 'Whether the process is alive',
        tags: TAGS,
        response: { 200: Type.Object({ status: Words(['ok']) }) },
      },
    },
    (_request, reply) => {
      reply.header('cache-control', 'no-store').send({ status: 'ok' as const })
    },
  )
  app.get(
    '/readyz',
    {
      schema: {
        operationId: 'getReadiness',
        summary: 'Whether the node can serve, and if not, why',
        tags: TAGS,
        response: { 200: ref(Readiness), 503: ref(Readiness) },
      },
    },
    (_request, reply) => {
      const reasons = [...notReady()]
      reply.header('cache-control', 'no-store')
      if (reasons.length === 0) reply.send({ status: 'ready' as const, reasons })
      else reply.code(503).send({ status: 'not ready' as const, reasons })
    },
  )
  app.get(
    '/metrics',
    {
      schema: {
        operationId: 'getMetrics',
        summary: 'Measurements in the text format of Prometheus',
        tags: TAGS,
        response: { 200: { content: { 'text/plain': { schema: Type.String() } } } },
      },
      config: { compress: true },
    },
    async (_request, reply) => {
      const text = await metrics.text()
      return await reply.type(METRICS_TYPE).header('cache-control', 'no-store').send(text)
    },
  )
}

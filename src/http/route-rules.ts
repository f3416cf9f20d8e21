/** What every route obeys, whoever registers it; and how route modules share schemas. */
import type { RouteOptions } from 'fastify'
import type { TSchema } from 'typebox'
import { Type } from 'typebox'
import { assert } from '../lib/assert.ts'
import { schemaName } from '../wire/schema.ts'
import type { ResponseEncoder } from './response-encoding.ts'

/** Paths of the contract; pages and probes beside it take any query. */
const CONTRACT_PREFIX = '/v1/'
/** JSON bodies are settings, not records: small. */
const JSON_BODY_BYTES = 256 * 1024

const NO_QUERY = Type.Object({}, { additionalProperties: false })

interface SchemaStore {
  getSchema(id: string): unknown
  addSchema(schema: unknown): unknown
}

/** Makes named schemas known to the application; those that are known already are left alone. */
export function registerSchemas(app: SchemaStore, ...schemas: readonly TSchema[]): void {
  for (const schema of schemas) {
    if (app.getSchema(schemaName(schema)) === undefined) app.addSchema(schema)
  }
}

/** For an `onRoute` hook: bounds the body, adds what the route's config asks for, and closes the query against names that nobody knows. */
export function applyRouteRules(
  route: RouteOptions,
  maxRequestBytes: number,
  encoder: ResponseEncoder,
): void {
  const { config } = route
  if (config?.compress === true) {
    route.onSend = [encoder.onSend, ...[route.onSend ?? []].flat()]
  }
  route.bodyLimit ??=
    config?.body === undefined ? Math.min(JSON_BODY_BYTES, maxRequestBytes) : maxRequestBytes
  if (config?.optionalBody === true) {
    assert(route.preValidation === undefined, `${route.url} has a preValidation hook of its own`)
    route.preValidation = (request, _reply, done) => {
      if (request.body === undefined) request.body = {}
      done()
    }
  }
  if (!route.url.startsWith(CONTRACT_PREFIX)) return
  const schema = route.schema ?? {}
  const querystring = (schema.querystring ?? NO_QUERY) as { additionalProperties?: unknown }
  assert(querystring.additionalProperties === false, `the query of ${route.url} is open`)
  route.schema = { ...schema, querystring }
}

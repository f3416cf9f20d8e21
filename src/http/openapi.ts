/** The OpenAPI document: what all operations share, and how routes become operations. */
import { STATUS_CODES } from 'node:http'
import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import swagger from '@fastify/swagger'
import type { TSchema } from 'typebox'
import { VERSION } from '../lib/version.ts'
import { PROBLEM_MEDIA_TYPE } from '../wire/problem.ts'
import type { App } from './app.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The body as the document shows it, where it is not JSON that the route's schema checks. */
    readonly documentedBody?: Readonly<Record<string, TSchema>>
  }
}

export type JsonObject = { [name: string]: unknown }

/**
 * In a schema of an answer that is a sequence: the schema of one item. OpenAPI 3.2 has a word for
 * it; the 3.1 document leaves it out.
 */
export const ITEM_SCHEMA = 'x-item-schema'
/** On an operation, on its way through the generator. */
const OPTIONAL_BODY = 'x-optional-body'

const DESCRIPTION = `Curlew is a durable message log that is spoken wholly over HTTP: produce with a POST, read with a GET, follow with server-sent events.

Every error is a problem document (RFC 9457) that says whether a repetition may help (\`retryable\`) and whether what was asked for has happened (\`committed\`). An unknown query parameter is an error.`

const TAGS = [
  { name: 'topics', description: 'Create, describe, change and delete topics.' },
  { name: 'records', description: 'Publish, produce, read and delete records.' },
  { name: 'streams', description: 'Follow a topic with server-sent events.' },
  { name: 'groups', description: 'Read topics with others, and commit how far.' },
  { name: 'cluster', description: 'The cluster and its nodes.' },
  { name: 'operations', description: 'Probes and measurements.' },
]

/** To be awaited before any route is registered: the document is made of the routes that follow. */
export async function registerOpenApi(app: App): Promise<void> {
  const options: FastifyDynamicSwaggerOptions = {
    openapi: {
      openapi: '3.1.1',
      info: {
        title: 'Curlew',
        version: VERSION,
        description: DESCRIPTION,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/', description: 'The server that this document comes from.' }],
      tags: TAGS,
    },
    convertConstToEnum: false,
    refResolver: {
      buildLocalReference: (json, _baseUri, _fragment, index) =>
        typeof json['$id'] === 'string' ? json['$id'] : `schema-${index}`,
    },
    transform: ({ schema, url, route }) => {
      const { body, documentedBody, optionalBody } = route.config ?? {}
      const optional = optionalBody === true || body === 'raw' ? { [OPTIONAL_BODY]: true } : {}
      if (documentedBody === undefined) return { schema: { ...schema, ...optional }, url }
      const content = Object.fromEntries(
        Object.entries(documentedBody).map(([type, value]) => [type, { schema: value }]),
      )
      return { schema: { ...schema, ...optional, body: { content } }, url }
    },
  }
  await app.register(swagger, options)
}

/** The document of OpenAPI 3.1, with members in an order that does not depend on the code's. */
export function openApi31(app: App): JsonObject {
  const document = structuredClone(app.swagger()) as unknown as JsonObject
  forEachOperation(document, mendOperation)
  forEachMediaType(document, (content, type) => {
    const media = content[type] as JsonObject
    const schema = media['schema'] as JsonObject | undefined
    if (schema?.['$ref'] === '#/components/schemas/Problem' && type === 'application/json') {
      content[PROBLEM_MEDIA_TYPE] = media
      delete content[type]
    }
    if (schema !== undefined) delete schema[ITEM_SCHEMA]
  })
  return inOrder(document)
}

/** The same of OpenAPI 3.2, which can describe the items of a stream. */
export function openApi32(app: App): JsonObject {
  const document = openApi31(app)
  const original = app.swagger() as unknown as JsonObject
  const items = new Map<string, unknown>()
  forEachMediaType(original, (content, type, path) => {
    const schema = (content[type] as JsonObject)['schema'] as JsonObject | undefined
    if (schema?.[ITEM_SCHEMA] !== undefined) items.set(`${path} ${type}`, schema[ITEM_SCHEMA])
  })
  forEachMediaType(document, (content, type, path) => {
    const itemSchema = items.get(`${path} ${type}`)
    if (itemSchema !== undefined) content[type] = { itemSchema }
  })
  return { ...document, openapi: '3.2.0' }
}

/** Visits every media type of every request and answer; `path` says where it is. */
function forEachMediaType(
  document: JsonObject,
  visit: (content: JsonObject, type: string, path: string) => void,
): void {
  forEachOperation(document, (operation, method, url) => {
    const bodies: [string, JsonObject | undefined][] = [
      ['request', operation['requestBody'] as JsonObject | undefined],
      ...Object.entries((operation['responses'] ?? {}) as Record<string, JsonObject>),
    ]
    for (const [name, body] of bodies) {
      const content = (body?.['content'] ?? {}) as JsonObject
      for (const type of Object.keys(content)) visit(content, type, `${url} ${method} ${name}`)
    }
  })
}

export interface Operation {
  readonly method: string
  readonly path: string
  readonly summary: string
}

/** Every operation of a document, in its order. */
export function operationsOf(document: JsonObject): Operation[] {
  const paths = Object.entries(document['paths'] as Record<string, Record<string, JsonObject>>)
  return paths.flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => {
      return { method, path, summary: String(operation['summary'] ?? '') }
    }),
  )
}

/** What @fastify/swagger says where a route says nothing. */
const NO_DESCRIPTION = 'Default Response'

function describeStatus(status: string): string {
  return STATUS_CODES[status] ?? 'A problem, which `code` names'
}

/** What the generator of the document does not know, or cannot be told. */
function mendOperation(operation: JsonObject): void {
  const answers = (operation['responses'] ?? {}) as Record<string, JsonObject>
  for (const [status, answer] of Object.entries(answers)) {
    if (answer['description'] === NO_DESCRIPTION) answer['description'] = describeStatus(status)
  }
  // The validator fills in the default, so that the parameter is never missing, and may be.
  for (const parameter of (operation['parameters'] ?? []) as JsonObject[]) {
    const { default: value } = (parameter['schema'] ?? {}) as JsonObject
    if (value !== undefined) parameter['required'] = false
  }
  const body = operation['requestBody'] as JsonObject | undefined
  if (body !== undefined && operation[OPTIONAL_BODY] === true) body['required'] = false
  delete operation[OPTIONAL_BODY]
}

function forEachOperation(
  document: JsonObject,
  visit: (operation: JsonObject, method: string, url: string) => void,
): void {
  for (const [url, item] of Object.entries(document['paths'] as Record<string, JsonObject>)) {
    for (const [method, operation] of Object.entries(item as Record<string, JsonObject>)) {
      visit(operation, method, url)
    }
  }
}

const METHODS = ['get', 'put', 'post', 'patch', 'delete']

function inOrder(document: JsonObject): JsonObject {
  const { openapi, info, servers, tags, paths, components } = document
  const schemas = (components as JsonObject | undefined)?.['schemas'] as JsonObject | undefined
  return {
    openapi,
    info,
    servers,
    tags,
    paths: sorted(paths as JsonObject, (item) =>
      sorted(item as JsonObject, identity, (a, b) => METHODS.indexOf(a) - METHODS.indexOf(b)),
    ),
    components: { schemas: sorted(schemas ?? {}, identity) },
  }
}

function sorted(
  object: JsonObject,
  map: (value: unknown) => unknown,
  compare: (a: string, b: string) => number = (a, b) => (a < b ? -1 : 1),
): JsonObject {
  const names = Object.keys(object).sort(compare)
  return Object.fromEntries(names.map((name) => [name, map(object[name])]))
}

function identity(value: unknown): unknown {
  return value
}

/** Tells a wrong path from a wrong method, and answers `OPTIONS`. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { ServiceError } from '../lib/service-error.ts'

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] as const

/** What of the application is needed to look a path up. */
export interface RouteFinder {
  findRoute(options: { readonly method: string; readonly url: string }): unknown
}

/** Methods that the path of `url` knows; `url` may have a query. */
export function methodsOf(finder: RouteFinder, url: string): string[] {
  const query = url.indexOf('?')
  const path = query === -1 ? url : url.slice(0, query)
  return METHODS.filter((method) => finder.findRoute({ method, url: path }) !== null)
}

/**
 * Fastify's not-found handler.
 * @throws ServiceError `method-not-allowed` or `route-not-found`
 */
export function answerUnknownRoute(
  finder: RouteFinder,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const methods = methodsOf(finder, request.url)
  if (methods.length === 0) {
    throw new ServiceError('route-not-found', 'nothing is served at this path; see /docs')
  }
  reply.header('allow', [...methods, 'OPTIONS'].join(', '))
  if (request.method === 'OPTIONS') {
    reply.code(204).send()
    return
  }
  throw new ServiceError(
    'method-not-allowed',
    `${request.method} is not possible here; these are: ${methods.join(', ')}`,
  )
}

/** Builds the HTTP application: everything that holds for all routes. It never listens by itself. */
import type { ServerResponse } from 'node:http'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify from 'fastify'
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import type { Random } from '../env/random.ts'
import { ByteBudget } from '../lib/byte-budget.ts'
import { Problem } from '../wire/problem.ts'
import type { BodyMode } from './body-reader.ts'
import { BodyReader } from './body-reader.ts'
import { ErrorAnswers } from './error-handler.ts'
import { answerUnknownRoute } from './method-not-allowed.ts'
import { RequestEnd } from './request-end.ts'
import { applyRouteRules, registerSchemas } from './route-rules.ts'
import { StallWatch } from './stall-watch.ts'
import { RequestIds } from './trace-context.ts'
import { compilersFactory, schemaErrorFormatter } from './validation.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** How the route takes its body, or how it tells by the request; JSON when absent. */
    readonly body?: BodyMode | ((request: FastifyRequest) => BodyMode)
    /** A JSON route that takes no body for an empty object. */
    readonly optionalBody?: boolean
  }
  interface FastifyRequest {
    /** The answer's raw side, for parsers, which fastify does not give the reply. */
    response: ServerResponse
  }
}

export interface AppDeps {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

export interface AppOptions {
  /** Upper bound of one body, after inflating. */
  readonly maxRequestBytes: number
  /** Upper bound of the whole bodies in flight, together. */
  readonly maxBodyMemoryBytes: number
  /** A body that brings no byte for so long is given up; 20 s. */
  readonly bodyIdleMs?: number
  /** A whole body must have come after so long; 5 min. */
  readonly bodyTotalMs?: number
}

/** Longer than any name that is allowed, so that a name that is too long is told so. */
const PARAMETER_LENGTH = 1024

export type App = ReturnType<typeof buildApp>

export function buildApp(deps: AppDeps, options: AppOptions) {
  const budget = new ByteBudget(options.maxBodyMemoryBytes)
  const requestEnd = new RequestEnd(deps.clock, budget)
  const stalls = new StallWatch(deps.clock, {
    idleMs: options.bodyIdleMs ?? 20_000,
    totalMs: options.bodyTotalMs ?? 300_000,
  })
  const errors = new ErrorAnswers({ logger: deps.logger, requestEnd })
  const requestIds = new RequestIds(deps.random)

  const app = Fastify({
    logger: false,
    bodyLimit: options.maxRequestBytes,
    genReqId: (request) => requestIds.of(request),
    routerOptions: { maxParamLength: PARAMETER_LENGTH },
    schemaErrorFormatter,
    schemaController: { compilersFactory },
    frameworkErrors: (error, request, reply) => errors.handle(error, request, reply),
  }).withTypeProvider<TypeBoxTypeProvider>()

  app.addHook('onRoute', (route) => applyRouteRules(route, options.maxRequestBytes))
  app.decorateRequest('response')
  app.addHook('onRequest', (request, reply, done) => {
    request.response = reply.raw
    reply.header('request-id', request.id)
    reply.header('x-content-type-options', 'nosniff')
    done()
  })

  const parseJson = app.getDefaultJsonParser('error', 'error')
  const bodies = new BodyReader({ budget, stalls, requestEnd, parseJson })
  app.removeAllContentTypeParsers()
  // The pattern is for bodies with a content type, which fastify then remembers; `*` for those without.
  for (const type of [/^/, '*']) {
    app.addContentTypeParser(type, (request, payload, done) => bodies.read(request, payload, done))
  }
  app.setErrorHandler((error, request, reply) => errors.handle(error, request, reply))
  app.setNotFoundHandler((request, reply) => answerUnknownRoute(app, request, reply))
  app.addHook('onClose', (_app, done) => {
    stalls.close()
    done()
  })
  registerSchemas(app, Problem)
  return app
}

/** Builds the HTTP application: everything that holds for all routes. It never listens by itself. */
import type { ServerResponse } from 'node:http'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify from 'fastify'
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import type { Metrics } from '../env/metrics.ts'
import type { Random } from '../env/random.ts'
import { ByteBudget } from '../lib/byte-budget.ts'
import { Problem } from '../wire/problem.ts'
import type { BodyMode } from './body-reader.ts'
import { BodyReader } from './body-reader.ts'
import { BrowserRules } from './browser-rules.ts'
import { answerClientError } from './client-error.ts'
import { clientGone } from './client-gone.ts'
import { ConnectionLimit } from './connection-limit.ts'
import { Entrance } from './entrance.ts'
import { ErrorAnswers } from './error-handler.ts'
import { createHttpServer } from './http-server.ts'
import { KnownAnswers } from './known-answers.ts'
import { answerUnknownRoute } from './method-not-allowed.ts'
import { RequestEnd } from './request-end.ts'
import { ResponseEncoder } from './response-encoding.ts'
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
    /** Whether answers are compressed for clients that ask for it; never on streams of events. */
    readonly compress?: boolean
  }
  interface FastifyInstance {
    /** Resolves at a moment at which no request is under way. */
    whenIdle(): Promise<void>
    /** For answers whose body is shared. */
    readonly knownAnswers: KnownAnswers
  }
  interface FastifyRequest {
    /** The answer's raw side, for parsers, which fastify does not give the reply. */
    response: ServerResponse
    /**
     * Says that nothing refers to the bytes of the body any more, so that they may be written over.
     * Never merely because the answer is done: records may still wait to be encoded.
     */
    releaseBody(): void
  }
}

export interface AppDeps {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly metrics: Metrics
  /** Whether the node shuts down and takes no new work. */
  readonly draining: () => boolean
}

export interface AppOptions {
  /** Origins of pages that may read and write; `*` is every one. */
  readonly corsOrigins: readonly string[]
  /** Further names that `Host` may have while bound to loopback. */
  readonly allowedHosts: readonly string[]
  /** Whether the server listens on loopback only. */
  readonly loopback: boolean
  readonly maxConnections: number
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

/** Of answers that are kept for the next who ask the same. */
const KNOWN_ANSWER_BYTES = 16 * 1024 * 1024

export type App = ReturnType<typeof buildApp>

export function buildApp(deps: AppDeps, options: AppOptions) {
  const budget = new ByteBudget(options.maxBodyMemoryBytes)
  const requestEnd = new RequestEnd(deps.clock, budget, deps.metrics)
  const stalls = new StallWatch(deps.clock, {
    idleMs: options.bodyIdleMs ?? 20_000,
    totalMs: options.bodyTotalMs ?? 300_000,
  })
  const errors = new ErrorAnswers({ logger: deps.logger, requestEnd })
  const requestIds = new RequestIds(deps.random)
  const connections = new ConnectionLimit(options.maxConnections, deps.metrics)
  const entrance = new Entrance({
    requestEnd,
    connections,
    browserRules: new BrowserRules(options),
    draining: deps.draining,
  })
  const encoder = new ResponseEncoder()
  const knownAnswers = new KnownAnswers({ ...deps, entrance, requestIds }, KNOWN_ANSWER_BYTES)

  const app = Fastify({
    logger: false,
    serverFactory: (route) =>
      createHttpServer((request, response) => {
        if (!knownAnswers.answer(request, response)) route(request, response)
      }),
    // While draining the entrance answers, with a problem document.
    return503OnClosing: false,
    // Whoever closes has waited for the requests that can be finished.
    forceCloseConnections: true,
    bodyLimit: options.maxRequestBytes,
    genReqId: (request) => requestIds.of(request),
    routerOptions: { maxParamLength: PARAMETER_LENGTH },
    schemaErrorFormatter,
    schemaController: { compilersFactory },
    frameworkErrors: (error, request, reply) => errors.handle(error, request, reply),
    clientErrorHandler: answerClientError,
  }).withTypeProvider<TypeBoxTypeProvider>()

  app.addHook('onRoute', (route) => applyRouteRules(route, options.maxRequestBytes, encoder))
  app.decorate('whenIdle', () => requestEnd.whenIdle())
  app.decorate('knownAnswers', knownAnswers)
  app.decorateRequest('response')
  app.decorateRequest('signal', {
    getter() {
      return clientGone(this.response)
    },
  })
  app.addHook('onRequest', entrance.onRequest)
  const parseJson = app.getDefaultJsonParser('error', 'error')
  const bodies = new BodyReader({ budget, stalls, requestEnd, parseJson })
  app.decorateRequest('releaseBody', bodies.release)
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
  connections.attach(app.server)
  // Without a listener Node asks for every body, also those that are refused by their headers.
  app.server.on('checkContinue', (request, response) => app.routing(request, response))
  // Other expectations may be ignored (RFC 9110, section 10.1.1); Node would refuse them without a body.
  app.server.on('checkExpectation', (request, response) => app.routing(request, response))
  registerSchemas(app, Problem)
  return app
}

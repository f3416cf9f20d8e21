/** The ceiling of produce: fastify with a raw body and a tiny answer, no log behind it. */
import type { AddressInfo } from 'node:net'
import fastify from 'fastify'
import { serveHelper } from '../lib/helper-side.ts'

await serveHelper(async () => {
  const app = fastify({ logger: false, bodyLimit: 32 * 1024 * 1024 })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  let offset = 0
  app.post('/publish', (request, reply) => {
    if (!Buffer.isBuffer(request.body)) throw new Error('no body')
    reply.code(201).header('content-type', 'application/json')
    return reply.send(`{"partition":0,"offset":${offset++}}`)
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  return { port: (app.server.address() as AddressInfo).port }
})

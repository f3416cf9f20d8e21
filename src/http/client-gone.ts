/** Tells when the client of a request has gone away. */
import type { FastifyReply } from 'fastify'

/**
 * A signal that aborts when the connection closes before the answer is complete. Fastify's
 * `request.signal` is of no use on requests with a body: it aborts as soon as the body is read.
 */
export function clientGone(reply: FastifyReply): AbortSignal {
  const controller = new AbortController()
  const { raw } = reply
  if (raw.destroyed || raw.closed) {
    controller.abort()
    return controller.signal
  }
  raw.once('close', () => {
    if (!raw.writableFinished) controller.abort()
  })
  return controller.signal
}

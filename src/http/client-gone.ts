/** Tells when the client of a request has gone away. */
import type { ServerResponse } from 'node:http'

const SIGNAL = Symbol('client gone')

/**
 * A signal that aborts when the connection closes before the answer is complete; one per answer.
 * It takes the place of fastify's `request.signal`, which is tied to the request's stream and so
 * aborts as soon as a body has been read.
 */
export function clientGone(response: ServerResponse & { [SIGNAL]?: AbortSignal }): AbortSignal {
  const known = response[SIGNAL]
  if (known !== undefined) return known
  const controller = new AbortController()
  response[SIGNAL] = controller.signal
  if (response.closed) {
    if (!response.writableFinished) controller.abort()
    return controller.signal
  }
  response.once('close', () => {
    if (!response.writableFinished) controller.abort()
  })
  return controller.signal
}

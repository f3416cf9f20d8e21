/** Sends short JSON answers past what fastify does for payloads of any kind. */
import type { FastifyReply } from 'fastify'

const JSON_TYPE = 'application/json; charset=utf-8'

/**
 * Sends `json`, which must be ASCII, with the headers that `reply` has, as one piece: Node then
 * neither measures nor transcodes it. The route may have no hook that wants to see the answer.
 */
export function sendAsciiJson(reply: FastifyReply, status: number, json: string): void {
  const head: string[] = []
  const headers = reply.getHeaders()
  for (const name in headers) head.push(name, String(headers[name]))
  head.push('content-type', JSON_TYPE, 'content-length', String(json.length))
  reply.hijack()
  reply.raw.writeHead(status, head).end(json, 'latin1')
}

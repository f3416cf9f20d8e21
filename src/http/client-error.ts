/** Answers what is not even HTTP, where there is no request to answer through. */
import type { ServerResponse } from 'node:http'
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { ErrorCode } from '../lib/service-error.ts'
import { ERRORS, ServiceError } from '../lib/service-error.ts'
import { PROBLEM_MEDIA_TYPE, problemOf } from '../wire/problem.ts'

/** Codes of Node's HTTP parser and server; every other one is a malformed request. */
const CODES: Readonly<Record<string, ErrorCode>> = {
  HPE_HEADER_OVERFLOW: 'headers-too-large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'headers-too-large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request-timeout',
}

const DETAILS: Partial<Record<ErrorCode, string>> = {
  'headers-too-large': 'the headers of the request are too large',
  'request-timeout': 'the request did not arrive in time',
}

export function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  // A reset connection cannot be answered, and the answer to a request before must not be cut into.
  if (error.code === 'ECONNRESET' || !socket.writable || !mayAnswer(socket)) {
    socket.destroy()
    return
  }
  const code = CODES[error.code ?? ''] ?? 'malformed-request'
  const detail = DETAILS[code] ?? 'this is not a request in HTTP/1.1'
  const { status } = ERRORS[code]
  const body = JSON.stringify(problemOf(new ServiceError(code, detail), '-'))
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nContent-Type: ${PROBLEM_MEDIA_TYPE}\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nX-Content-Type-Options: nosniff\r\n` +
      `Connection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  )
}

/**
 * Whether nothing is being answered, or the request that is at fault in its body and has no answer
 * yet. Node's own handler tells by the same member.
 */
function mayAnswer(socket: Socket): boolean {
  const { _httpMessage: underWay } = socket as { _httpMessage?: ServerResponse | null }
  return (underWay ?? null) === null || (!underWay?.headersSent && !underWay?.req.complete)
}

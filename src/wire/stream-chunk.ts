/**
 * A piece of a streamed answer, framed once as a chunk of HTTP/1.1 and shared by every connection
 * that sends it.
 */
const CRLF = 0x0d0a

export interface StreamChunk {
  /** `<hex length> CR LF <payload> CR LF`, as RFC 9112 section 7.1 has it. */
  readonly framed: Buffer
  /** The same memory without the frame, for connections that are not chunked. */
  readonly payload: Buffer
}

/** Copies the parts, which must not be empty together: an empty chunk would end the answer. */
export function streamChunk(parts: readonly Uint8Array[]): StreamChunk {
  let sizeBytes = 0
  for (const part of parts) sizeBytes += part.length
  const size = sizeBytes.toString(16)
  const start = size.length + 2
  const framed = Buffer.allocUnsafeSlow(start + sizeBytes + 2)
  framed.write(size, 0, 'latin1')
  framed.writeUInt16BE(CRLF, size.length)
  let at = start
  for (const part of parts) {
    framed.set(part, at)
    at += part.length
  }
  framed.writeUInt16BE(CRLF, at)
  return { framed, payload: framed.subarray(start, at) }
}

/** Gathers a body into one buffer. Room is asked for before it is allocated. */
import { InternalRefusal } from './internal-refusal.ts'

export interface GatherOptions {
  /** What the head says, undefined if it says nothing. */
  readonly expectedBytes: number | undefined
  readonly limitBytes: number
  /** Called before so many more bytes are held; may throw. */
  readonly reserve?: (bytes: number) => void
}

const FIRST_BYTES = 16 * 1024
const NOTHING: Uint8Array = new Uint8Array(0)

/**
 * A body that comes in one piece is not copied.
 * @throws InternalRefusal `call-too-large`, `malformed-call` when it ends early; what `reserve` throws
 */
export async function gatherBody(
  body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { expectedBytes, limitBytes, reserve }: GatherOptions,
): Promise<Uint8Array> {
  let buffer = NOTHING
  let length = 0
  let reserved = 0
  const hold = (bytes: number) => {
    if (bytes > limitBytes) throw tooLarge(limitBytes)
    if (bytes > reserved) reserve?.(bytes - reserved)
    reserved = Math.max(reserved, bytes)
  }
  if (expectedBytes !== undefined) hold(expectedBytes)
  const only: unknown = Array.isArray(body) && body.length === 1 ? body[0] : undefined
  if (only instanceof Uint8Array && only.length === expectedBytes) return only
  for await (const chunk of body) {
    const end = length + chunk.length
    if (length === 0 && chunk.length === expectedBytes) buffer = chunk
    else {
      if (end > buffer.length) {
        const size = Math.max(end, expectedBytes ?? Math.min(limitBytes, grown(length)))
        hold(size)
        const larger = Buffer.allocUnsafeSlow(size)
        larger.set(buffer.subarray(0, length))
        buffer = larger
      }
      buffer.set(chunk, length)
    }
    length = end
  }
  if (expectedBytes !== undefined && length !== expectedBytes) {
    throw new InternalRefusal('malformed-call', 'The body has another length than was announced.')
  }
  return length === buffer.length ? buffer : buffer.subarray(0, length)
}

function grown(length: number): number {
  return Math.max(FIRST_BYTES, 2 * length)
}

function tooLarge(limitBytes: number): InternalRefusal {
  return new InternalRefusal('call-too-large', `The body is larger than ${limitBytes} bytes.`)
}

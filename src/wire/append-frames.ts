/**
 * The answer to an append call: one frame for each request, in the order in which they settle.
 *   bytes that follow u32 | index of the request u32 | 1 | base offset i64 | append time i64, ms, -1 none
 *   bytes that follow u32 | index of the request u32 | 0 | refusal, JSON
 */
import { readUint32 } from '../lib/big-endian.ts'
import type { Appended, Refusal } from './internal.ts'
import { MalformedMessage, MessageReader, MessageWriter } from './message.ts'
import { decodeRefusal, encodeRefusal } from './refusal-codec.ts'
import { MAX_REFUSAL_BYTES } from './refusal-json.ts'

export interface AppendFrame {
  readonly index: number
  readonly result: Appended | Refusal
}

const LENGTH_BYTES = 4
const HEAD_BYTES = 4 + 1
const APPENDED_BYTES = HEAD_BYTES + 8 + 8
const MAX_FRAME_BYTES = HEAD_BYTES + MAX_REFUSAL_BYTES

export function encodeAppendFrame({ index, result }: AppendFrame): Uint8Array {
  const refusal = result.ok ? undefined : encodeRefusal(result)
  const bytes = refusal === undefined ? APPENDED_BYTES : HEAD_BYTES + refusal.length
  const writer = new MessageWriter(LENGTH_BYTES + bytes)
  writer.int32(bytes)
  writer.int32(index)
  if (result.ok) {
    writer.byte(1)
    writer.int64(result.baseOffset)
    writer.int64(result.appendTimeMs)
  } else {
    writer.byte(0)
    writer.put(refusal as Uint8Array)
  }
  return writer.finish()
}

/** Cuts what comes in pieces of any size into frames. */
export class AppendFrameReader {
  #rest: Uint8Array = new Uint8Array(0)

  /**
   * The frames that are whole now.
   * @throws MalformedMessage
   */
  push(chunk: Uint8Array): AppendFrame[] {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const frames: AppendFrame[] = []
    let at = 0
    while (bytes.length - at >= LENGTH_BYTES) {
      const length = readUint32(bytes, at)
      if (length > MAX_FRAME_BYTES) throw new MalformedMessage('a frame is too large')
      const start = at + LENGTH_BYTES
      if (bytes.length - start < length) break
      at = start + length
      frames.push(decodeFrame(bytes.subarray(start, at)))
    }
    this.#rest = at === bytes.length ? bytes.subarray(at) : new Uint8Array(bytes.subarray(at))
    return frames
  }
}

function decodeFrame(bytes: Uint8Array): AppendFrame {
  const reader = new MessageReader(bytes)
  const index = reader.uint32()
  const kind = reader.byte()
  if (kind === 0) {
    return { index, result: decodeRefusal(reader.view(bytes.length - HEAD_BYTES)) }
  }
  if (kind !== 1) throw new MalformedMessage('the kind of a frame is not known')
  const baseOffset = reader.int64()
  const appendTimeMs = reader.int64(-1)
  reader.end()
  return { index, result: { ok: true, baseOffset, appendTimeMs } }
}

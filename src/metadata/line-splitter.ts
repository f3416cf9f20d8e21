/** Cuts a stream of bytes into its lines, wherever its chunks begin and end. */

const NEWLINE = 0x0a

/** A line is longer than is read. */
export class LineTooLongError extends Error {
  override readonly name = 'LineTooLongError'
}

/** Lines without their newline, as UTF-8; empty ones, and one that is not ended, are left out. */
export async function* splitLines(
  chunks: AsyncIterable<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<string> {
  const held: Uint8Array[] = []
  let heldBytes = 0
  for await (const chunk of chunks) {
    let start = 0
    for (;;) {
      const end = chunk.indexOf(NEWLINE, start)
      const part = chunk.subarray(start, end < 0 ? chunk.length : end)
      heldBytes += part.length
      if (heldBytes > maxBytes) throw new LineTooLongError(`a line exceeds ${maxBytes} bytes`)
      held.push(part)
      if (end < 0) break
      start = end + 1
      const line = Buffer.concat(held).toString('utf8')
      held.length = 0
      heldBytes = 0
      if (line !== '') yield line
    }
  }
}

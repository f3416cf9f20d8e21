/** Writes parts one behind the other in spite of short writes. */
import type { FileHandle } from '../env/file-system.ts'
import { dropBytes } from '../lib/drop-bytes.ts'

/** What was written before a failure, from the first byte on. */
export class PartialWriteError extends Error {
  override readonly name = 'PartialWriteError'
  readonly writtenBytes: number

  constructor(writtenBytes: number, options: { cause: unknown }) {
    super(`a write failed after ${writtenBytes} bytes`, options)
    this.writtenBytes = writtenBytes
  }
}

/** @throws PartialWriteError with what the file system said as its cause */
export async function writeWhole(
  file: FileHandle,
  parts: readonly Uint8Array[],
  position: number,
): Promise<void> {
  let rest = parts
  let written = 0
  try {
    while (rest.length > 0) {
      const step = await file.writeAt(rest, position + written)
      if (step === 0 && rest.some((part) => part.length > 0)) throw new Error('nothing was written')
      written += step
      rest = dropBytes(rest, step)
    }
  } catch (error) {
    throw new PartialWriteError(written, { cause: error })
  }
}

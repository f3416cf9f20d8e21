/** Reads a small file in one piece. */
import type { FileSystem } from '../env/file-system.ts'

/** Undefined if there is none. */
export async function readWhole(fileSystem: FileSystem, path: string): Promise<Buffer | undefined> {
  const size = await fileSystem.size(path)
  if (size === undefined) return undefined
  const bytes = Buffer.alloc(size)
  const file = await fileSystem.open(path, 'read')
  try {
    await file.readAt(bytes, 0)
  } finally {
    await file.close()
  }
  return bytes
}

/** What the commands that look at data of a stopped node work with. */
import type { FileSystem } from '../env/file-system.ts'

export interface OfflineDeps {
  readonly fileSystem: FileSystem
  /** Takes a line, without its end. */
  readonly write: (line: string) => void
}

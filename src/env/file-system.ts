/**
 * The file system, as the rest of the code sees it. Paths are absolute or relative to the process;
 * errors are Node's (`code` ENOSPC, EIO, ENOENT, …).
 *
 * What is durable: bytes of a file after `syncData`; a created, renamed or removed name after
 * `syncDirectory` of its folder; what `DurableFile.write` wrote, when it resolves.
 */
export interface FileHandle {
  /** Reads into `target` from `position`; resolves to the bytes read, fewer than asked at the end. */
  readAt(target: Uint8Array, position: number): Promise<number>
  /** Writes the parts one behind the other at `position`; may write short; resolves to the bytes written. */
  writeAt(parts: readonly Uint8Array[], position: number): Promise<number>
  truncate(sizeBytes: number): Promise<void>
  syncData(): Promise<void>
  sizeBytes(): Promise<number>
  close(): Promise<void>
}

/** A file of fixed size, filled with zeros when made, each write of which is durable when it resolves. */
export interface DurableFile {
  /**
   * Writes all parts one behind the other at `position` (a multiple of 4096, as is their sum) and
   * syncs them. One write at a time. A rejected write leaves any mixture of old and new bytes.
   * The parts must not change until it settles.
   */
  write(parts: readonly Uint8Array[], position: number): Promise<void>
  close(): Promise<void>
}

/** Resolves when a file of so many bytes should grow further; undefined: at once. */
export type WhenToGoOn = (filledBytes: number) => Promise<void> | undefined

export interface FileSystem {
  /** `read`: must exist. `create`: read and write, made if missing. */
  open(path: string, mode: 'read' | 'create'): Promise<FileHandle>
  /**
   * Opens or makes a file for durable writes; a new or shorter one is first filled with synced zeros up
   * to `sizeBytes`, with pauses as `goOn` says.
   */
  openDurable(path: string, sizeBytes: number, goOn?: WhenToGoOn): Promise<DurableFile>
  /** Makes the folder and its parents. */
  makeDirectory(path: string): Promise<void>
  syncDirectory(path: string): Promise<void>
  /** Names in the folder, sorted; empty when it does not exist. */
  list(path: string): Promise<string[]>
  /** Size in bytes, or undefined when there is no such file. */
  size(path: string): Promise<number | undefined>
  rename(from: string, to: string): Promise<void>
  /** Removes a file; nothing happens when there is none. */
  remove(path: string): Promise<void>
  /** Removes a folder and all in it; nothing happens when there is none. */
  removeTree(path: string): Promise<void>
  /** Takes the exclusive lock that `path` stands for until `release` or the end of the process; undefined if another holds it. */
  lock(path: string): Promise<{ release(): Promise<void> } | undefined>
  /** Bytes free for this process on the file system of `path`. */
  freeBytes(path: string): Promise<number>
}

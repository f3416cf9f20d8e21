/**
 * The journal's files: numbered slots of one size, filled with zeros ahead of their use and recycled
 * after it. One spare is always being made ready in the background, as fast as the journal fills the file
 * before it: all at once it would stand in the way of the journal's own writes.
 */
import type { Clock, Timer } from '../env/clock.ts'
import type { DurableFile, FileSystem } from '../env/file-system.ts'
import type { Logger } from '../env/logger.ts'

export interface JournalFilesOptions {
  readonly directory: string
  readonly fileBytes: number
  /** Files kept for reuse; more are removed. */
  readonly spareFilesMax: number
  /** How long after a refusal for want of space it is tried again. */
  readonly spaceRetryMs: number
}

interface JournalFilesDeps {
  readonly fileSystem: FileSystem
  readonly clock: Clock
  readonly logger: Logger
}

export interface JournalFile {
  readonly slot: number
  readonly file: DurableFile
}

/** How far the zeros of the next file are ahead of the journal in its own. */
const AHEAD_BYTES = 16 * 1024 * 1024

/** Slots that exist, in order of their numbers. */
export async function listSlots(fileSystem: FileSystem, directory: string): Promise<number[]> {
  const names = (await fileSystem.list(directory)).filter((name) => /^\d{1,9}$/.test(name))
  return names.map(Number).sort((a, b) => a - b)
}

export class JournalFiles {
  readonly #deps: JournalFilesDeps
  readonly #options: JournalFilesOptions
  /** Open and ready. */
  readonly #spares: JournalFile[] = []
  readonly #inUse = new Map<number, JournalFile>()
  /** On disk, not yet opened. */
  readonly #unopened: number[]
  #slotsMade: number
  #preparing: Promise<void> | undefined
  #failure: unknown
  #full: boolean = false
  #closed: boolean = false
  #retry: Timer | undefined
  readonly #wake: (() => void)[] = []
  /** How far the journal has come in the file that it took last; what waits for it to come further. */
  #usedBytes = 0
  #fillOn: { readonly filledBytes: number; readonly resolve: () => void } | undefined
  #removing: Promise<void> = Promise.resolve()

  private constructor(deps: JournalFilesDeps, options: JournalFilesOptions, slots: number[]) {
    this.#deps = deps
    this.#options = options
    this.#unopened = slots
    this.#slotsMade = (slots.at(-1) ?? -1) + 1
  }

  /** Opens the first slot, which is made if there is none. */
  static async open(deps: JournalFilesDeps, options: JournalFilesOptions): Promise<JournalFiles> {
    const { fileSystem } = deps
    await fileSystem.makeDirectory(options.directory)
    await fileSystem.syncDirectory(parentOf(options.directory))
    const files = new JournalFiles(deps, options, await listSlots(fileSystem, options.directory))
    files.#spares.push(await files.#openSlot())
    return files
  }

  /** No slot can be had for want of space. */
  get full(): boolean {
    return this.#full && this.#spares.length === 0
  }

  /** A file to write to from its start, if one is ready; the next is then made ready. */
  take(): JournalFile | undefined {
    const file = this.#spares.shift()
    if (file !== undefined) {
      this.#inUse.set(file.slot, file)
      this.#usedBytes = 0
    }
    this.#prepare()
    return file
  }

  /** The journal has come so far in the file that it took last. */
  used(bytes: number): void {
    this.#usedBytes = bytes
    if (this.#fillOn !== undefined && this.#isWanted(this.#fillOn.filledBytes)) this.#fill()
  }

  /** As `take`, but waits for the file; undefined when there is no space for one. */
  async takeWhenReady(): Promise<JournalFile | undefined> {
    for (;;) {
      const file = this.take()
      if (file !== undefined || this.#full || this.#closed) return file
      if (this.#failure !== undefined) throw this.#failure
      await new Promise<void>((resolve) => {
        this.#wake.push(resolve)
        this.#fill()
      })
    }
  }

  /** Nothing in the slot is needed any more. */
  recycle(slot: number): void {
    const file = this.#inUse.get(slot)
    if (file === undefined) return
    this.#inUse.delete(slot)
    this.#spares.push(file)
    this.#notify()
    if (this.#spares.length + this.#unopened.length > this.#options.spareFilesMax) this.#discard()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#retry?.cancel()
    this.#notify()
    this.#fill()
    await this.#preparing
    await this.#removing
    for (const { file } of [...this.#inUse.values(), ...this.#spares]) await file.close()
  }

  #prepare(): void {
    if (this.#preparing !== undefined || this.#spares.length > 0 || this.#closed) return
    this.#preparing = this.#addSpare().finally(() => {
      this.#preparing = undefined
      this.#notify()
    })
  }

  async #addSpare(): Promise<void> {
    try {
      this.#spares.push(await this.#openSlot())
      this.#full = false
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code !== 'ENOSPC' && code !== 'EDQUOT') {
        this.#failure = error
        return
      }
      if (!this.#full) this.#deps.logger.error({ err: error }, 'no space for a journal file')
      this.#full = true
      if (this.#closed) return
      this.#retry?.cancel()
      this.#retry = this.#deps.clock.timer(this.#options.spaceRetryMs, () => this.#prepare())
    }
  }

  async #openSlot(): Promise<JournalFile> {
    const { directory, fileBytes } = this.#options
    const existing = this.#unopened[0]
    const slot = existing ?? this.#slotsMade
    const file = await this.#deps.fileSystem.openDurable(
      `${directory}/${slot}`,
      fileBytes,
      (filledBytes) => this.#whenWanted(filledBytes),
    )
    await this.#deps.fileSystem.syncDirectory(directory)
    if (existing === undefined) this.#slotsMade++
    else this.#unopened.shift()
    return { slot, file }
  }

  #whenWanted(filledBytes: number): Promise<void> | undefined {
    if (this.#isWanted(filledBytes)) return undefined
    return new Promise((resolve) => {
      this.#fillOn = { filledBytes, resolve }
    })
  }

  /** Whether a file that is filled so far should be filled further. */
  #isWanted(filledBytes: number): boolean {
    const isAwaited = this.#wake.length > 0 || this.#inUse.size === 0 || this.#closed
    return isAwaited || filledBytes < this.#usedBytes + AHEAD_BYTES
  }

  #fill(): void {
    const waiting = this.#fillOn
    this.#fillOn = undefined
    waiting?.resolve()
  }

  /** A name that comes back after a crash does no harm: its bytes are of an earlier time. */
  #discard(): void {
    const { fileSystem, logger } = this.#deps
    const spare = this.#spares.length > 1 ? this.#spares.pop() : undefined
    const slot = spare?.slot ?? this.#unopened.pop()
    if (slot === undefined) return
    const remove = async () => {
      await spare?.file.close()
      await fileSystem.remove(`${this.#options.directory}/${slot}`)
    }
    this.#removing = this.#removing
      .then(remove)
      .catch((err) => logger.warn({ err, slot }, 'could not remove a journal file'))
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }
}

function parentOf(path: string): string {
  const end = path.lastIndexOf('/')
  return end > 0 ? path.slice(0, end) : end === 0 ? '/' : '.'
}

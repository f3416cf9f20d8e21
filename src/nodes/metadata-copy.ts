/**
 * A copy of the metadata beside the database, as text, from which `curlew repair` makes the database
 * anew when it is lost or damaged. Written whole soon after every change:
 *
 *   curlew-metadata 1 <CRC-32C of all lines that follow, 8 hexadecimal digits>
 *   {"key": …, "value": …}      a line each
 */
import type { Clock, Timer } from '../env/clock.ts'
import type { FileSystem } from '../env/file-system.ts'
import type { Logger } from '../env/logger.ts'
import { crc32c } from '../lib/crc32c.ts'
import type { MetadataView } from '../metadata/metadata-image.ts'
import { NODES_PREFIX } from '../metadata/metadata-keys.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import { readWhole } from '../storage/read-whole.ts'
import { writeWhole } from '../storage/write-whole.ts'

export interface CopiedEntry {
  readonly key: string
  readonly value: string
}

export interface MetadataCopyDeps {
  readonly fileSystem: FileSystem
  readonly clock: Clock
  readonly logger: Logger
  readonly store: Pick<MetadataStore, 'list'>
  readonly metadata: MetadataView
}

const HEAD = /^curlew-metadata 1 ([0-9a-f]{8})\n/
/** Changes come in bursts, one for each topic that is made. */
const DELAY_MS = 500

export function metadataCopyPath(dataDirectory: string): string {
  return `${dataDirectory}/metadata.copy`
}

export class MetadataCopy {
  readonly #deps: MetadataCopyDeps
  readonly #dataDirectory: string
  #unsubscribe: () => void = () => undefined
  #timer: Timer | undefined
  #writing: Promise<void> = Promise.resolve()

  constructor(deps: MetadataCopyDeps, dataDirectory: string) {
    this.#deps = deps
    this.#dataDirectory = dataDirectory
  }

  /** Makes a copy now, and after each change from now on. */
  start(): void {
    this.#unsubscribe = this.#deps.metadata.onChange(() => this.#soon())
    this.#write()
  }

  /** Writes what is still to be written. */
  async close(): Promise<void> {
    this.#unsubscribe()
    if (this.#timer !== undefined) {
      this.#timer.cancel()
      this.#write()
    }
    await this.#writing
  }

  #soon(): void {
    this.#timer ??= this.#deps.clock.timer(DELAY_MS, () => this.#write())
  }

  /** A copy that cannot be written is no reason to stop: the database is whole. */
  #write(): void {
    this.#timer = undefined
    this.#writing = this.#writing
      .then(() => this.#replace())
      .catch((err: unknown) => {
        this.#deps.logger.warn({ err }, 'the copy of the metadata could not be written')
      })
  }

  async #replace(): Promise<void> {
    const { fileSystem, store } = this.#deps
    const { entries } = await store.list('/')
    const bytes = encodeMetadataCopy(entries.filter(({ key }) => !key.startsWith(NODES_PREFIX)))
    const path = metadataCopyPath(this.#dataDirectory)
    const file = await fileSystem.open(`${path}.new`, 'create')
    try {
      await file.truncate(0)
      await writeWhole(file, [bytes], 0)
      await file.syncData()
    } finally {
      await file.close()
    }
    await fileSystem.rename(`${path}.new`, path)
    await fileSystem.syncDirectory(this.#dataDirectory)
  }
}

/** The entries of the copy; undefined if there is none, or it is damaged. */
export async function readMetadataCopy(
  fileSystem: FileSystem,
  dataDirectory: string,
): Promise<readonly CopiedEntry[] | undefined> {
  const path = metadataCopyPath(dataDirectory)
  const bytes = await readWhole(fileSystem, path)
  return bytes && decodeMetadataCopy(bytes)
}

export function encodeMetadataCopy(entries: readonly CopiedEntry[]): Uint8Array {
  const lines = entries.map(({ key, value }) => `${JSON.stringify({ key, value })}\n`).join('')
  const sum = crc32c(Buffer.from(lines)).toString(16).padStart(8, '0')
  return Buffer.from(`curlew-metadata 1 ${sum}\n${lines}`)
}

export function decodeMetadataCopy(bytes: Buffer): readonly CopiedEntry[] | undefined {
  const [head, sum] = HEAD.exec(bytes.toString('latin1', 0, 64)) ?? []
  if (head === undefined) return undefined
  const rest = bytes.subarray(head.length)
  if (crc32c(rest) !== Number.parseInt(sum as string, 16)) return undefined
  const lines = rest.toString().split('\n').slice(0, -1)
  return lines.map((line) => JSON.parse(line) as CopiedEntry)
}

/** A journal on a simulated disk that does not wait: what tests of the journal share. */
import { nullLogger } from '../../src/env/logger.ts'
import type { Metrics } from '../../src/env/metrics.ts'
import { nullMetrics } from '../../src/env/metrics.ts'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import type { JournalOptions } from '../../src/storage/journal.ts'
import { Journal } from '../../src/storage/journal.ts'
import type { JournalPosition } from '../../src/storage/journal-index.ts'
import { SimClock } from '../sim/sim-clock.ts'
import { SimFileSystem } from '../sim/sim-file-system.ts'

export const DIRECTORY = '/data/journal'
export const FILE_BYTES = 64 * 1024

export interface Seen {
  readonly sequence: number
  readonly kind: number
  readonly logId: number
  readonly payload: string
}

export class JournalHarness {
  fileSystem: SimFileSystem
  clock = new SimClock({ immediates: 'microtask' })
  readonly random: SeededRandom
  readonly options: Partial<JournalOptions>

  constructor(seed = 1, options: Partial<JournalOptions> = {}) {
    this.random = new SeededRandom(seed)
    this.fileSystem = new SimFileSystem({ random: this.random })
    this.options = { fileBytes: FILE_BYTES, ...options }
  }

  /** Opens and starts; gives the position that a checkpoint would hold. */
  async begin(metrics?: Metrics): Promise<{ journal: Journal; start: JournalPosition }> {
    const journal = await this.open(metrics)
    const start = journal.start()
    return { journal, start }
  }

  async open(metrics: Metrics = nullMetrics): Promise<Journal> {
    await this.fileSystem.makeDirectory('/data')
    await this.fileSystem.syncDirectory('/')
    return Journal.open(
      {
        fileSystem: this.fileSystem,
        random: this.random,
        clock: this.clock,
        logger: nullLogger,
        metrics,
      },
      { directory: DIRECTORY, ...this.options },
    )
  }

  /** What a new process reads. */
  async replay(start: JournalPosition) {
    const journal = await this.open()
    const frames: Seen[] = []
    const outcome = await journal.replay(start, (frame) => {
      frames.push({ ...frame, payload: Buffer.from(frame.payload).toString('latin1') })
    })
    return { journal, frames, outcome }
  }

  restart(): void {
    this.fileSystem = this.fileSystem.kill()
    this.clock = new SimClock({ immediates: 'microtask' })
  }

  crash(): void {
    this.fileSystem = this.fileSystem.crash()
    this.clock = new SimClock({ immediates: 'microtask' })
  }
}

export const payload = (text: string): Uint8Array => Buffer.from(text, 'latin1')

/** Text of a size that a frame's number makes unlike any other. */
export function filler(number: number, sizeBytes: number): string {
  return `<${number}>`.repeat(Math.ceil(sizeBytes / 3)).slice(0, sizeBytes)
}

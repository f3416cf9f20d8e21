/** The disk without a server: write + fdatasync, one after the other, at rising positions. */
import { close, fdatasync, ftruncate, open, unlink, write } from 'node:fs'
import { promisify } from 'node:util'
import { serveHelper } from '../lib/helper-side.ts'
import { Histogram } from '../lib/histogram.ts'
import type { Sample } from '../lib/sample.ts'

export interface DiskConfig {
  /** A file of this name is made and removed. */
  readonly path: string
}

export interface DiskCommand {
  /** `growing`: the file gets longer with every write. `recycled`: its blocks were written before. */
  readonly file: 'growing' | 'recycled'
  readonly blockBytes: number
  readonly seconds: number
}

const RECYCLED_BYTES = 256 * 1024 * 1024
const FILL_BYTES = 1024 * 1024

await serveHelper(async (config: DiskConfig) => {
  const recycled = await promisify(open)(`${config.path}-recycled`, 'w+')
  await fill(recycled, RECYCLED_BYTES)
  return {
    run: async (command: DiskCommand): Promise<Sample> => {
      if (command.file === 'recycled') return writeAndSync(recycled, RECYCLED_BYTES, command)
      const path = `${config.path}-growing`
      const growing = await promisify(open)(path, 'w+')
      try {
        return await writeAndSync(growing, Number.POSITIVE_INFINITY, command)
      } finally {
        await promisify(ftruncate)(growing, 0)
        await promisify(close)(growing)
        await promisify(unlink)(path)
      }
    },
  }
})

function writeAndSync(fd: number, wrapBytes: number, command: DiskCommand): Promise<Sample> {
  const latencies = new Histogram()
  const block = Buffer.alloc(command.blockBytes, 'x')
  const startMs = performance.now()
  let position = 0
  return new Promise((resolve, reject) => {
    // Callbacks on purpose: promises of files cost a quarter more, and the ceiling must not pay that.
    function next(): void {
      const writtenMs = performance.now()
      write(fd, block, 0, block.length, position, (writeError) => {
        if (writeError !== null) return reject(writeError)
        fdatasync(fd, (syncError) => {
          if (syncError !== null && syncError !== undefined) return reject(syncError)
          const nowMs = performance.now()
          latencies.record(nowMs - writtenMs)
          position = position + 2 * block.length > wrapBytes ? 0 : position + block.length
          if (nowMs - startMs < command.seconds * 1000) next()
          else resolve(summary(latencies, nowMs - startMs, block.length))
        })
      })
    }
    next()
  })
}

function summary(latencies: Histogram, elapsedMs: number, blockBytes: number): Sample {
  const perSecond = (latencies.total / elapsedMs) * 1000
  return {
    perSecond,
    megabytesPerSecond: (perSecond * blockBytes) / 1e6,
    p50Ms: latencies.percentileMs(0.5),
    p99Ms: latencies.percentileMs(0.99),
  }
}

async function fill(fd: number, bytes: number): Promise<void> {
  const zeros = Buffer.alloc(FILL_BYTES)
  for (let position = 0; position < bytes; position += FILL_BYTES) {
    await promisify(write)(fd, zeros, 0, FILL_BYTES, position)
  }
  await promisify(fdatasync)(fd)
}

/**
 * Readers that go from cursor to cursor through a log, and from its end back to its start. Each asks for
 * pages of another size, so that none is served what was rendered for another one.
 */
import { serveHelper } from '../lib/helper-side.ts'
import { Histogram } from '../lib/histogram.ts'
import type { Sample } from '../lib/sample.ts'
import type { HttpConnection } from './http-connection.ts'
import { requestBytes, withConnections } from './http-connection.ts'

export interface WalkConfig {
  readonly port: number
  readonly connections: number
  /** Records of the smallest page. */
  readonly records: number
}

export interface WalkCommand {
  /** With a query to which `limit=` and `cursor=` are added. */
  readonly path: string
  readonly seconds: number
}

const CURSOR = /"cursor":"([^"]+)"/

await serveHelper(async ({ port, connections, records }: WalkConfig) => ({
  run: ({ path, seconds }: WalkCommand): Promise<Sample> =>
    withConnections(port, connections, async (opened) => {
      const latencies = new Histogram()
      const startMs = performance.now()
      const endMs = startMs + seconds * 1000
      const walks = opened.map((connection, i) =>
        walk(connection, port, `${path}&limit=${records + i}`, endMs, latencies),
      )
      const bytes = (await Promise.all(walks)).reduce((sum, each) => sum + each, 0)
      const elapsedMs = performance.now() - startMs
      return {
        perSecond: (latencies.total / elapsedMs) * 1000,
        megabytesPerSecond: bytes / elapsedMs / 1000,
        p50Ms: latencies.percentileMs(0.5),
        p99Ms: latencies.percentileMs(0.99),
      }
    }),
}))

function walk(
  connection: HttpConnection,
  port: number,
  path: string,
  endMs: number,
  latencies: Histogram,
): Promise<number> {
  return new Promise((resolve, reject) => {
    let bytes = 0
    const next = (cursor: string): void => {
      const askedMs = performance.now()
      if (askedMs >= endMs) {
        resolve(bytes)
        return
      }
      const request = requestBytes('GET', port, `${path}${cursor}`)
      connection.exchange(request, ({ status, body }) => {
        if (status !== 200) {
          reject(new Error(`status ${status}`))
          return
        }
        latencies.record(performance.now() - askedMs)
        bytes += body.length
        // What follows the records is short.
        const found = CURSOR.exec(body.toString('latin1', Math.max(0, body.length - 600)))?.[1]
        const isEnd = body.length < 1000
        next(isEnd || found === undefined ? '' : `&cursor=${found}`)
      })
    }
    next('')
  })
}

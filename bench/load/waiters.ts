/** Many parked long-polls: publishes once all wait, and times until each has read its answer. */
import { setTimeout as sleep } from 'node:timers/promises'
import { serveHelper } from '../lib/helper-side.ts'
import { Histogram } from '../lib/histogram.ts'
import type { Sample } from '../lib/sample.ts'
import type { HttpConnection } from './http-connection.ts'
import { requestBytes, withConnections } from './http-connection.ts'

export interface WaitersConfig {
  readonly port: number
  readonly waiters: number
  /** `{cursor}` in it stands for the cursor of the last answer. */
  readonly waitPath: string
  /** Where the first cursor comes from; none = the server has no cursors. */
  readonly cursorPath?: string
  readonly publish: { readonly path: string; readonly contentType: string; readonly body: string }
}

export interface WaitersCommand {
  readonly seconds: number
}

/** Long enough for a thousand requests to be parked on the slowest server here. */
const PARK_MS = 150

await serveHelper((config: WaitersConfig) => {
  const { path, contentType, body } = config.publish
  const publish = requestBytes('POST', config.port, path, { contentType, content: body })

  async function firstCursor(connection: HttpConnection): Promise<string> {
    if (config.cursorPath === undefined) return ''
    return cursorOf(await exchange(connection, requestBytes('GET', config.port, config.cursorPath)))
  }

  /** Parks all, publishes once, and gives back one of the answers. */
  async function wake(
    publisher: HttpConnection,
    waiters: readonly HttpConnection[],
    request: Buffer,
    latencies: Histogram,
  ): Promise<string> {
    let publishedMs = Number.NaN
    const answers = waiters.map((waiter) =>
      exchange(waiter, request, () => {
        if (Number.isNaN(publishedMs)) throw new Error('an answer before anything was published')
        latencies.record(performance.now() - publishedMs)
      }),
    )
    await sleep(PARK_MS)
    publishedMs = performance.now()
    await exchange(publisher, publish)
    const [answer] = await Promise.all(answers)
    return answer as string
  }

  const run = ({ seconds }: WaitersCommand): Promise<Sample> =>
    withConnections(config.port, config.waiters + 1, async ([publisher, ...waiters]) => {
      const latencies = new Histogram()
      const endMs = performance.now() + seconds * 1000
      let cursor = await firstCursor(publisher as HttpConnection)
      do {
        const waitPath = config.waitPath.replace('{cursor}', cursor)
        const request = requestBytes('GET', config.port, waitPath)
        const answer = await wake(publisher as HttpConnection, waiters, request, latencies)
        if (config.cursorPath !== undefined) cursor = cursorOf(answer)
      } while (performance.now() < endMs)
      return { p50Ms: latencies.percentileMs(0.5), p99Ms: latencies.percentileMs(0.99) }
    })
  return Promise.resolve({ run })
})

function exchange(
  connection: HttpConnection,
  request: Buffer,
  arrived: () => void = () => undefined,
): Promise<string> {
  return new Promise((resolve, reject) => {
    connection.exchange(request, ({ status, body }) => {
      arrived()
      const text = body.toString()
      if (status >= 300) reject(new Error(`${status} ${text}`))
      else resolve(text)
    })
  })
}

function cursorOf(answer: string): string {
  const cursor = /"cursor":"([^"]+)"/.exec(answer)
  if (cursor === null) throw new Error(`no cursor in ${answer.slice(0, 200)}`)
  return encodeURIComponent(cursor[1] as string)
}

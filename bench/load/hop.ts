/** One hop as a general client makes it: undici to node:http, a POST of a record, a small answer. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Pool } from 'undici'
import { serveHelper } from '../lib/helper-side.ts'
import { Histogram } from '../lib/histogram.ts'
import type { Sample } from '../lib/sample.ts'

/** `server` answers, `client` asks the one at `port`. */
export type HopConfig =
  | { readonly role: 'server' }
  | { readonly role: 'client'; readonly port: number }

export interface HopCommand {
  readonly bodyBytes: number
  readonly seconds: number
}

await serveHelper(async (config: HopConfig) => {
  return config.role === 'server' ? { port: await serve() } : { run: client(config.port) }
})

async function serve(): Promise<number> {
  const answer = Buffer.from('{"offset":0}')
  const server = createServer((request, response) => {
    request.resume().once('end', () => response.writeHead(200).end(answer))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

function client(port: number) {
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections: 1 })
  return async ({ bodyBytes, seconds }: HopCommand): Promise<Sample> => {
    const body = Buffer.alloc(bodyBytes, 'x')
    const latencies = new Histogram()
    const endMs = performance.now() + seconds * 1000
    for (let startMs = performance.now(); startMs < endMs; ) {
      const { body: answer } = await pool.request({ path: '/', method: 'POST', body })
      await answer.dump()
      const nowMs = performance.now()
      latencies.record(nowMs - startMs)
      startMs = nowMs
    }
    return { p50Ms: latencies.percentileMs(0.5), p99Ms: latencies.percentileMs(0.99) }
  }
}

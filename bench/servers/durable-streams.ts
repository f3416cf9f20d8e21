/** The peer: @durable-streams/server, backed by files or by memory. */
import { DurableStreamTestServer } from '@durable-streams/server'
import { serveHelper } from '../lib/helper-side.ts'

export interface DurableStreamsConfig {
  /** Where it keeps its files; none = in memory. */
  readonly directory?: string
}

await serveHelper(async (config: DurableStreamsConfig) => {
  const server = new DurableStreamTestServer({
    port: 0,
    ...(config.directory === undefined ? {} : { dataDir: config.directory }),
  })
  const url = await server.start()
  return { port: Number(new URL(url).port) }
})

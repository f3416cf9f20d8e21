/** Many SSE subscribers and their publisher in one process: one clock, and events counted by one byte. */
import { serveHelper } from '../lib/helper-side.ts'
import { openStream } from './event-stream.ts'
import type { Pace, Shot } from './fan-out-round.ts'
import { Fanout } from './fan-out-round.ts'
import type { HttpConnection } from './http-connection.ts'
import { openAll, readBuffer, requestBytes, withConnections } from './http-connection.ts'

/** How one publish looks to this server. */
export interface ShotConfig {
  readonly path: string
  readonly contentType: string
  readonly body: string
  readonly eventsPerRequest: number
  /** Sent at the same time, each on its own connection. */
  readonly requests: number
}

export interface SubscribersConfig {
  readonly port: number
  readonly path: string
  readonly subscribers: number
}

export interface FanoutCommand {
  readonly shot: ShotConfig
  readonly seconds: number
  readonly pace: Pace
}

const SUBSCRIBERS_PER_ADDRESS = 1000

await serveHelper(async (config: SubscribersConfig) => {
  const round = new Fanout(config.subscribers)
  const shared = readBuffer()
  await openAll(config.subscribers, (index) =>
    openStream({
      port: config.port,
      path: config.path,
      localAddress: sourceAddress(index),
      buffer: shared,
      onEvents: round.subscriber(),
    }),
  )
  return {
    run: (command: FanoutCommand) => {
      const { shot } = command
      const request = requestBytes('POST', config.port, shot.path, {
        contentType: shot.contentType,
        content: shot.body,
      })
      return withConnections(config.port, shot.requests, (publishers) => {
        const publish: Shot = {
          events: shot.eventsPerRequest * shot.requests,
          fire: (acknowledged) => fire(publishers, request, acknowledged),
        }
        return round.run(publish, command.seconds, command.pace)
      })
    },
  }
})

function fire(
  publishers: readonly HttpConnection[],
  request: Buffer,
  acknowledged: () => void,
): void {
  let missing = publishers.length
  for (const publisher of publishers) {
    publisher.exchange(request, ({ status, body }) => {
      if (status >= 300) throw new Error(`publish: ${status} ${body.toString()}`)
      if (--missing === 0) acknowledged()
    })
  }
}

/** A source address has some 28,000 ports and each is blocked for a minute after use. */
function sourceAddress(index: number): string {
  return `127.0.0.${2 + Math.floor(index / SUBSCRIBERS_PER_ADDRESS)}`
}

/** A server with its crowd of SSE subscribers, asked round by round for one kind of publish. */
import type { FanoutCommand, ShotConfig, SubscribersConfig } from '../load/subscribers.ts'
import { LOAD_CORE } from './bench.ts'
import { Helper } from './helper.ts'
import { EVENT_MARK, jsonRecord, ndjsonBatch, RECORD_BYTES } from './payload.ts'
import type { Sample } from './sample.ts'
import type { Stage } from './stage.ts'
import { withUsage } from './usage.ts'

export const BURST_EVENTS = 10
const ANSWER_MS = 120_000

interface Server {
  readonly pid: number
  readonly port: number
}

export class Crowd implements AsyncDisposable {
  readonly #server: Server
  readonly #subscribers: Helper<FanoutCommand, Sample>

  private constructor(server: Server, subscribers: Helper<FanoutCommand, Sample>) {
    this.#server = server
    this.#subscribers = subscribers
  }

  /** Resolves when the server has begun to answer every subscriber. */
  static async gather(
    stage: Stage,
    server: Server,
    path: string,
    subscribers: number,
  ): Promise<Crowd> {
    const config: SubscribersConfig = { port: server.port, path, subscribers }
    return new Crowd(server, await Helper.start(stage, 'load/subscribers.ts', config, LOAD_CORE))
  }

  round(command: FanoutCommand): Promise<Sample> {
    return withUsage(this.#server.pid, () => this.#subscribers.call(command, ANSWER_MS))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#subscribers[Symbol.asyncDispose]()
  }
}

/** One record to Curlew: one event. */
export function curlewSingle(topic: string): ShotConfig {
  return {
    path: `/v1/topics/${topic}/publish`,
    contentType: 'application/json',
    body: jsonRecord(0),
    eventsPerRequest: 1,
    requests: 1,
  }
}

/** One batch to Curlew: a burst of events in the same tick. */
export function curlewBurst(topic: string): ShotConfig {
  return {
    path: `/v1/topics/${topic}/records`,
    contentType: 'application/x-ndjson',
    body: ndjsonBatch(BURST_EVENTS),
    eventsPerRequest: BURST_EVENTS,
    requests: 1,
  }
}

/** To the raw fan-out: events as long as those it is compared with. */
export function rawShot(events: number, eventBytes: number): ShotConfig {
  return {
    path: `/publish?events=${events}&bytes=${Math.round(eventBytes)}`,
    contentType: 'text/plain',
    body: '',
    eventsPerRequest: events,
    requests: 1,
  }
}

/** To a peer's stream: text of a record's length. */
export function peerSingle(path: string): ShotConfig {
  return {
    path,
    contentType: 'text/plain',
    body: EVENT_MARK.padEnd(RECORD_BYTES, 'x'),
    eventsPerRequest: 1,
    requests: 1,
  }
}

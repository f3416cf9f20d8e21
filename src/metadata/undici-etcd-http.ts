/** The etcd client's HTTP on undici: bounded connections, streams apart from calls, TLS. */
import type { Dispatcher } from 'undici'
import { Agent, DecoratorHandler } from 'undici'
import type { LiveTls } from '../env/live-tls.ts'
import { liveConnector } from '../env/live-tls.ts'
import type { EtcdHttp, EtcdHttpAnswer, EtcdHttpCall } from './etcd-http.ts'
import { NotSentError } from './etcd-http.ts'

/** PEM texts. Without any, certificates of members are checked against those that Node knows. */
export interface EtcdTls {
  readonly ca?: string
  /** Certificate of this client, for members that ask for one. */
  readonly cert?: string
  readonly key?: string
}

const CONNECTIONS_PER_ENDPOINT = 16
const STREAMS_PER_ENDPOINT = 64

export class UndiciEtcdHttp implements EtcdHttp {
  readonly #calls: Agent
  readonly #streams: Agent

  constructor(tls: Pick<LiveTls<EtcdTls>, 'current'> = { current: {} }) {
    this.#calls = makeAgent(CONNECTIONS_PER_ENDPOINT, tls)
    this.#streams = makeAgent(STREAMS_PER_ENDPOINT, tls)
  }

  async post(call: EtcdHttpCall, signal: AbortSignal): Promise<EtcdHttpAnswer> {
    let isSent = false
    const agent = call.isStream ? this.#streams : this.#calls
    const dispatcher = agent.compose((dispatch) => (options, handler) => {
      const marked = new StartMark(handler, () => {
        isSent = true
      })
      return dispatch(options, marked)
    })
    try {
      const { statusCode, body } = await dispatcher.request({
        origin: call.endpoint,
        path: call.path,
        method: 'POST',
        headers: { 'content-type': 'application/json', ...call.headers },
        body: call.body,
        signal,
      })
      return { status: statusCode, body }
    } catch (error) {
      if (isSent) throw error
      throw new NotSentError(`${call.endpoint} was not reached: ${messageOf(error)}`, {
        cause: error,
      })
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#calls.destroy(), this.#streams.destroy()])
  }
}

/** Tells when undici takes a connection to write the request to it; until then nothing has left. */
class StartMark extends DecoratorHandler implements Dispatcher.DispatchHandler {
  readonly #handler: Dispatcher.DispatchHandler
  readonly #onStart: () => void

  constructor(handler: Dispatcher.DispatchHandler, onStart: () => void) {
    super(handler)
    this.#handler = handler
    this.#onStart = onStart
  }

  onRequestStart(controller: Dispatcher.DispatchController, context: unknown): void {
    this.#onStart()
    this.#handler.onRequestStart?.(controller, context)
  }
}

/** Time limits are the caller's, on its own clock. */
function makeAgent(connections: number, tls: Pick<LiveTls<EtcdTls>, 'current'>): Agent {
  return new Agent({
    connections,
    allowH2: false,
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: liveConnector(tls),
  })
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

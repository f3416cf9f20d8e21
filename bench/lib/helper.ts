/** A helper of ours in its own process: a bare server or a load generator, asked over the channel. */
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { RunningProcess, Stage } from './stage.ts'

export type HelperMessage =
  | { readonly ready: { readonly port: number } }
  | { readonly answer: unknown }
  | { readonly error: string }

const START_MS = 60_000

export class Helper<Command, Answer> implements AsyncDisposable {
  readonly #process: RunningProcess
  /** Where a server listens; 0 for a load generator. */
  readonly port: number

  private constructor(process: RunningProcess, port: number) {
    this.#process = process
    this.port = port
  }

  /** `script` is relative to bench/. */
  static async start<Command, Answer>(
    stage: Stage,
    script: string,
    config: unknown,
    core?: number,
  ): Promise<Helper<Command, Answer>> {
    const path = fileURLToPath(new URL(`../${script}`, import.meta.url))
    const command = [process.execPath, path, JSON.stringify(config)]
    const running = stage.spawn(basename(script, '.ts'), command, { core, ipc: true })
    const message = await nextMessage(running, START_MS)
    if (!('ready' in message)) throw running.failure('sent something before it was ready')
    return new Helper(running, message.ready.port)
  }

  get pid(): number {
    return this.#process.pid
  }

  async call(command: Command, limitMs: number): Promise<Answer> {
    const message = nextMessage(this.#process, limitMs)
    this.#process.child.send(command as object)
    const result = await message
    if ('answer' in result) return result.answer as Answer
    throw this.#process.failure('error' in result ? result.error : 'did not answer')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.stop('kill')
  }
}

function nextMessage(running: RunningProcess, limitMs: number): Promise<HelperMessage> {
  return new Promise((resolve, reject) => {
    const { child } = running
    const timer = setTimeout(() => settle(() => reject(running.failure('no answer'))), limitMs)
    const onMessage = (message: unknown) => settle(() => resolve(message as HelperMessage))
    const onEnd = () => settle(() => reject(running.failure('ended')))
    function settle(then: () => void): void {
      clearTimeout(timer)
      child.off('message', onMessage).off('exit', onEnd).off('error', onEnd)
      then()
    }
    child.once('message', onMessage).once('exit', onEnd).once('error', onEnd)
  })
}

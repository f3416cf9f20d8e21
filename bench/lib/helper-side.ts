/** The other end of helper.ts, inside the helper's process. */
import type { HelperMessage } from './helper.ts'

export interface HelperBody<Command, Answer> {
  /** Where it listens, if it does. */
  readonly port?: number
  run?(command: Command): Promise<Answer>
}

/** Starts the helper with its configuration and serves commands one after another. */
export async function serveHelper<Config, Command = never, Answer = never>(
  start: (config: Config) => Promise<HelperBody<Command, Answer>>,
): Promise<void> {
  // Never outlives the harness, however that ended.
  process.once('disconnect', () => process.exit())
  const body = await start(JSON.parse(process.argv[2] as string) as Config)
  process.on('message', (command) => {
    if (body.run === undefined) throw new Error('this helper takes no commands')
    body.run(command as Command).then(
      (answer) => send({ answer }),
      (error: unknown) => send({ error: error instanceof Error ? String(error.stack) : 'failed' }),
    )
  })
  send({ ready: { port: body.port ?? 0 } })
}

function send(message: HelperMessage): void {
  process.send?.(message)
}

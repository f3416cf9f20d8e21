/** Chooses the command, and says what went wrong when it cannot even start. */
import { readFileSync } from 'node:fs'
import { argv, env, exit, stderr, stdout } from 'node:process'
import { loadConfig } from '../config/load-config.ts'
import { ConfigError } from '../config/setting-value.ts'
import { VERSION } from '../lib/version.ts'
import type { CommandLine } from './command-line.ts'
import { parseCommandLine } from './command-line.ts'
import { helpText } from './help.ts'
import { explainFailure } from './start-failure.ts'

/** The exit code for a mistake on the command line, as shells have it. */
const USAGE = 2
const FAILURE = 1

export async function main(): Promise<void> {
  try {
    await run(parseCommandLine(argv.slice(2)))
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    stderr.write(`curlew: ${error.message}\n`)
    exit(USAGE)
  }
}

async function run({ command, args }: CommandLine): Promise<void> {
  switch (command) {
    case 'help':
      stdout.write(helpText())
      return
    case 'version':
      stdout.write(`${VERSION}\n`)
      return
    case 'standalone':
      await standalone(args)
      return
    default:
      await (await import('./offline-commands.ts')).runOffline(command, args)
  }
}

async function standalone(args: readonly string[]): Promise<void> {
  const config = loadConfig({ args, env, readTextFile: (path) => readFileSync(path, 'utf8') })
  try {
    // Loaded only here, so that help and mistakes are told at once.
    const { runStandalone } = await import('./run-standalone.ts')
    await runStandalone(config)
  } catch (error) {
    const reason = explainFailure(error, config)
    if (reason === undefined) throw error
    stderr.write(`curlew: ${reason}\n`)
    exit(FAILURE)
  }
}

/** Chooses the command, and says what went wrong when it cannot even start. */
import { readFileSync } from 'node:fs'
import { argv, env, exit, stderr, stdout } from 'node:process'
import { loadConfig } from '../config/load-config.ts'
import { ConfigError } from '../config/setting-value.ts'
import type { Configs, Role } from '../config.ts'
import { VERSION } from '../lib/version.ts'
import type { CommandLine } from './command-line.ts'
import { parseCommandLine } from './command-line.ts'
import { helpText } from './help.ts'
import { explainFailure } from './start-failure.ts'

/** The exit code for a mistake on the command line, as shells have it. */
const USAGE = 2
const FAILURE = 1

/** Loaded only when needed, so that help and mistakes are told at once. */
const RUN: { readonly [R in Role]: (config: Configs[R]) => Promise<never> } = {
  standalone: async (config) => await (await import('./run-standalone.ts')).runStandalone(config),
  storage: async (config) => await (await import('./run-storage.ts')).runStorage(config),
  front: async (config) => await (await import('./run-front.ts')).runFront(config),
}

export async function main(): Promise<void> {
  try {
    await dispatch(parseCommandLine(argv.slice(2)))
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    stderr.write(`curlew: ${error.message}\n`)
    exit(USAGE)
  }
}

async function dispatch(line: CommandLine): Promise<void> {
  switch (line.command) {
    case 'help':
      stdout.write(helpText(line.role))
      return
    case 'version':
      stdout.write(`${VERSION}\n`)
      return
    case 'run':
      await run(line.role, line.args)
      return
    case 'tool':
      await (await import('./offline-commands.ts')).runOffline(line.tool, line.args)
  }
}

async function run<R extends Role>(role: R, args: readonly string[]): Promise<void> {
  const config = loadConfig(role, {
    args,
    env,
    readTextFile: (path) => readFileSync(path, 'utf8'),
  })
  try {
    await RUN[role](config)
  } catch (error) {
    const reason = explainFailure(error, config)
    if (reason === undefined) throw error
    stderr.write(`curlew: ${reason}\n`)
    exit(FAILURE)
  }
}

/** Which command the arguments name. */
import { ConfigError } from '../config/setting-value.ts'
import { nearestName } from '../lib/nearest-name.ts'

export const COMMANDS = ['standalone', 'dump', 'repair'] as const
export type Command = (typeof COMMANDS)[number]

export interface CommandLine {
  readonly command: Command | 'help' | 'version'
  /** What follows the command. */
  readonly args: readonly string[]
}

/**
 * Without a command it is `standalone`.
 * @throws ConfigError when the first word is no command
 */
export function parseCommandLine(words: readonly string[]): CommandLine {
  const [first] = words
  if (first === 'help' || words.some((word) => word === '--help' || word === '-h')) {
    return { command: 'help', args: [] }
  }
  if (first === 'version' || first === '--version' || first === '-v') {
    return { command: 'version', args: [] }
  }
  if (first === undefined || first.startsWith('-')) return { command: 'standalone', args: words }
  const command = COMMANDS.find((name) => name === first)
  if (command === undefined) {
    const near = nearestName(first, [...COMMANDS, 'help', 'version'])
    const hint = near === undefined ? 'see curlew --help' : `did you mean ${near}?`
    throw new ConfigError(`unknown command ${first}; ${hint}`)
  }
  return { command, args: words.slice(1) }
}

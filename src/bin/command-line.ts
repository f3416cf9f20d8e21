/** Which command the arguments name. */

import { ConfigError } from '../config/setting-value.ts'
import type { Role } from '../config.ts'
import { ROLES } from '../config.ts'
import { nearestName } from '../lib/nearest-name.ts'

const TOOLS = ['dump', 'repair'] as const
export type Tool = (typeof TOOLS)[number]
const COMMANDS: readonly string[] = [...ROLES, ...TOOLS]

export type CommandLine =
  | { readonly command: 'help'; readonly role: Role }
  | { readonly command: 'version' }
  | { readonly command: 'run'; readonly role: Role; readonly args: readonly string[] }
  | { readonly command: 'tool'; readonly tool: Tool; readonly args: readonly string[] }

/**
 * Without a command it is `standalone`.
 * @throws ConfigError when the first word is no command
 */
export function parseCommandLine(words: readonly string[]): CommandLine {
  const [first] = words
  const role = ROLES.find((name) => name === first)
  if (first === 'help' || words.some((word) => word === '--help' || word === '-h')) {
    return { command: 'help', role: role ?? 'standalone' }
  }
  if (first === 'version' || first === '--version' || first === '-v') return { command: 'version' }
  if (first === undefined || first.startsWith('-')) {
    return { command: 'run', role: 'standalone', args: words }
  }
  const args = words.slice(1)
  if (role !== undefined) return { command: 'run', role, args }
  const tool = TOOLS.find((name) => name === first)
  if (tool !== undefined) return { command: 'tool', tool, args }
  const near = nearestName(first, [...COMMANDS, 'help', 'version'])
  const hint = near === undefined ? 'see curlew --help' : `did you mean ${near}?`
  throw new ConfigError(`unknown command ${first}; ${hint}`)
}

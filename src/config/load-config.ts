/** Puts the settings together from flags, environment and file; what nobody knows is an error. */
import { parseArgs } from 'node:util'
import type { Configs, Role, Setting } from '../config.ts'
import {
  CONFIG_FILE_ENV,
  CONFIG_FILE_FLAG,
  ENV_PREFIX,
  envOf,
  flagOf,
  ROLES,
  SETTINGS,
} from '../config.ts'
import { nearestName } from '../lib/nearest-name.ts'
import { ConfigError, parseSetting } from './setting-value.ts'

/** What Kubernetes puts into each pod for a service that is called curlew, or curlew-something. */
const SERVICE_LINK = /_SERVICE_(?:HOST|PORT)(?:_|$)|_PORT_\d+_(?:TCP|UDP|SCTP)(?:_|$)/
const SERVICE_ADDRESS = /^(?:tcp|udp|sctp):\/\//

export interface ConfigSources {
  /** Arguments after the command. */
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  /** Reads the file that `--config` names. */
  readonly readTextFile: (path: string) => string
}

/**
 * A flag wins over the environment, which wins over the file, which wins over the default.
 * @throws ConfigError naming the flag, variable or member at fault
 */
export function loadConfig<R extends Role>(
  role: R,
  { args, env, readTextFile }: ConfigSources,
): Configs[R] {
  const settings = SETTINGS[role]
  const names = Object.keys(settings)
  const values: Record<string, unknown> = {}
  for (const name of names) values[name] = settings[name]?.default
  const flags = readFlags(settings, args)
  const fromEnv = readEnvironment(role, env)
  const file = flags.file ?? env[CONFIG_FILE_ENV]
  if (file !== undefined) Object.assign(values, readFile(settings, file, readTextFile))
  return Object.assign(values, fromEnv, flags.values) as unknown as Configs[R]
}

type Settings = Readonly<Record<string, Setting>>

function readFlags(settings: Settings, args: readonly string[]) {
  const byFlag = new Map(Object.keys(settings).map((name) => [flagOf(name), name]))
  const options = Object.fromEntries([
    [CONFIG_FILE_FLAG, { type: 'string' as const }],
    ...[...byFlag].map(([flag, name]) => [
      flag,
      { type: settings[name]?.kind === 'switch' ? ('boolean' as const) : ('string' as const) },
    ]),
  ])
  const { tokens } = parseArgs({
    args: [...args],
    options,
    strict: false,
    tokens: true,
  })
  const texts = new Map<string, string[]>()
  let file: string | undefined
  for (const token of tokens) {
    if (token.kind === 'positional') throw new ConfigError(`unexpected word: ${token.value}`)
    if (token.kind !== 'option') continue
    if (token.name === CONFIG_FILE_FLAG && token.value !== undefined) {
      file = token.value
      continue
    }
    const { name, value } = readFlag(settings, byFlag, token)
    texts.set(name, [...(texts.get(name) ?? []), value])
  }
  const values: Record<string, unknown> = {}
  for (const [name, given] of texts) {
    values[name] = parseSetting(settings[name] as Setting, given, `--${flagOf(name)}`)
  }
  return { values, file }
}

interface OptionToken {
  readonly name: string
  readonly rawName: string
  readonly value: string | undefined
}

function readFlag(
  settings: Settings,
  byFlag: ReadonlyMap<string, string>,
  { name: given, rawName, value }: OptionToken,
) {
  const negative = given.startsWith('no-') && !byFlag.has(given)
  const flag = negative ? given.slice('no-'.length) : given
  const name = byFlag.get(flag)
  if (name === undefined || !rawName.startsWith('--')) {
    throw new ConfigError(`unknown flag ${rawName}${hint(given, [...byFlag.keys()], '--')}`)
  }
  const isSwitch = settings[name]?.kind === 'switch'
  if (negative && (!isSwitch || value !== undefined)) {
    throw new ConfigError(`${rawName} is not possible`)
  }
  if (value === undefined && !isSwitch) throw new ConfigError(`${rawName} needs a value`)
  return { name, value: value ?? String(!negative) }
}

/** Variables of other roles are let pass: one environment may serve them all. */
function readEnvironment(role: Role, env: ConfigSources['env']): Record<string, unknown> {
  const settings = SETTINGS[role]
  const byEnv = new Map(Object.keys(settings).map((name) => [envOf(name), name]))
  const others = new Set(ROLES.flatMap((other) => Object.keys(SETTINGS[other])).map(envOf))
  const values: Record<string, unknown> = {}
  for (const [variable, value] of Object.entries(env)) {
    if (!variable.startsWith(ENV_PREFIX) || variable === CONFIG_FILE_ENV) continue
    if (value === undefined) continue
    if (SERVICE_LINK.test(variable) || SERVICE_ADDRESS.test(value)) {
      throw new ConfigError(
        `${variable} is set by Kubernetes for a service whose name begins with curlew, and is no setting: give the pod enableServiceLinks: false`,
      )
    }
    const name = byEnv.get(variable)
    if (name === undefined) {
      if (others.has(variable)) continue
      throw new ConfigError(
        `unknown environment variable ${variable}${hint(variable, [...byEnv.keys()])}`,
      )
    }
    const setting = settings[name] as Setting
    const given = Array.isArray(setting.default) ? value.split(',').filter(Boolean) : [value]
    values[name] = parseSetting(setting, given, variable)
  }
  return values
}

function readFile(
  settings: Settings,
  path: string,
  readTextFile: (path: string) => string,
): Record<string, unknown> {
  let members: unknown
  try {
    members = JSON.parse(readTextFile(path))
  } catch (cause) {
    throw new ConfigError(`the file ${path} cannot be read: ${(cause as Error).message}`, { cause })
  }
  if (typeof members !== 'object' || members === null || Array.isArray(members)) {
    throw new ConfigError(`the file ${path} must hold one JSON object`)
  }
  const values: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(members)) {
    const setting = Object.hasOwn(settings, name) ? settings[name] : undefined
    if (setting === undefined) {
      const near = hint(name, Object.keys(settings))
      throw new ConfigError(`unknown setting ${name} in ${path}${near}`)
    }
    const given = Array.isArray(value) ? value : [value]
    values[name] = parseSetting(setting, given.map(String), `${name} in ${path}`)
  }
  return values
}

function hint(name: string, known: readonly string[], prefix = ''): string {
  const near = nearestName(name, known)
  return near === undefined ? '' : `; did you mean ${prefix}${near}?`
}

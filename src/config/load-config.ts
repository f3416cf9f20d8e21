/** Puts the settings together from flags, environment and file; what nobody knows is an error. */
import { parseArgs } from 'node:util'
import type { Config, SettingName } from '../config.ts'
import {
  CONFIG_FILE_ENV,
  CONFIG_FILE_FLAG,
  ENV_PREFIX,
  envOf,
  flagOf,
  SETTING_NAMES,
  SETTINGS,
} from '../config.ts'
import { nearestName } from '../lib/nearest-name.ts'
import { ConfigError, parseSetting } from './setting-value.ts'

const BY_FLAG = new Map(SETTING_NAMES.map((name) => [flagOf(name), name]))
const BY_ENV = new Map(SETTING_NAMES.map((name) => [envOf(name), name]))

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
export function loadConfig({ args, env, readTextFile }: ConfigSources): Config {
  const values: Record<string, unknown> = {}
  for (const name of SETTING_NAMES) values[name] = SETTINGS[name].default
  const flags = readFlags(args)
  const fromEnv = readEnvironment(env)
  const file = flags.file ?? env[CONFIG_FILE_ENV]
  if (file !== undefined) Object.assign(values, readFile(file, readTextFile))
  return Object.assign(values, fromEnv, flags.values) as Config
}

function readFlags(args: readonly string[]) {
  const options = Object.fromEntries([
    [CONFIG_FILE_FLAG, { type: 'string' as const }],
    ...[...BY_FLAG].map(([flag, name]) => [
      flag,
      { type: SETTINGS[name].kind === 'switch' ? ('boolean' as const) : ('string' as const) },
    ]),
  ])
  const { tokens } = parseArgs({
    args: [...args],
    options,
    strict: false,
    tokens: true,
  })
  const texts = new Map<SettingName, string[]>()
  let file: string | undefined
  for (const token of tokens) {
    if (token.kind === 'positional') throw new ConfigError(`unexpected word: ${token.value}`)
    if (token.kind !== 'option') continue
    if (token.name === CONFIG_FILE_FLAG && token.value !== undefined) {
      file = token.value
      continue
    }
    const { name, value } = readFlag(token)
    texts.set(name, [...(texts.get(name) ?? []), value])
  }
  const values: Record<string, unknown> = {}
  for (const [name, given] of texts) values[name] = parseSetting(name, given, `--${flagOf(name)}`)
  return { values, file }
}

interface OptionToken {
  readonly name: string
  readonly rawName: string
  readonly value: string | undefined
}

function readFlag({ name: given, rawName, value }: OptionToken) {
  const negative = given.startsWith('no-') && !BY_FLAG.has(given)
  const flag = negative ? given.slice('no-'.length) : given
  const name = BY_FLAG.get(flag)
  if (name === undefined || !rawName.startsWith('--')) {
    throw new ConfigError(`unknown flag ${rawName}${hint(given, [...BY_FLAG.keys()], '--')}`)
  }
  const isSwitch = SETTINGS[name].kind === 'switch'
  if (negative && (!isSwitch || value !== undefined)) {
    throw new ConfigError(`${rawName} is not possible`)
  }
  if (value === undefined && !isSwitch) throw new ConfigError(`${rawName} needs a value`)
  return { name, value: value ?? String(!negative) }
}

function readEnvironment(env: ConfigSources['env']): Record<string, unknown> {
  const values: Record<string, unknown> = {}
  for (const [variable, value] of Object.entries(env)) {
    if (!variable.startsWith(ENV_PREFIX) || variable === CONFIG_FILE_ENV) continue
    if (value === undefined) continue
    if (SERVICE_LINK.test(variable) || SERVICE_ADDRESS.test(value)) {
      throw new ConfigError(
        `${variable} is set by Kubernetes for a service whose name begins with curlew, and is no setting: give the pod enableServiceLinks: false`,
      )
    }
    const name = BY_ENV.get(variable)
    if (name === undefined) {
      throw new ConfigError(
        `unknown environment variable ${variable}${hint(variable, [...BY_ENV.keys()])}`,
      )
    }
    const isList = Array.isArray(SETTINGS[name].default)
    values[name] = parseSetting(name, isList ? value.split(',').filter(Boolean) : [value], variable)
  }
  return values
}

function readFile(path: string, readTextFile: (path: string) => string): Record<string, unknown> {
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
    if (!isSetting(name)) {
      throw new ConfigError(`unknown setting ${name} in ${path}${hint(name, SETTING_NAMES)}`)
    }
    const given = Array.isArray(value) ? value : [value]
    values[name] = parseSetting(name, given.map(String), `${name} in ${path}`)
  }
  return values
}

function isSetting(name: string): name is SettingName {
  return Object.hasOwn(SETTINGS, name)
}

function hint(name: string, known: readonly string[], prefix = ''): string {
  const near = nearestName(name, known)
  return near === undefined ? '' : `; did you mean ${prefix}${near}?`
}

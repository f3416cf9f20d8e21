/** How the text of a setting becomes its value, and what is said when it does not. */
import type { Kind, Setting } from '../config.ts'
import { formatDuration, formatSize, parseDuration, parseSize } from '../lib/quantity.ts'

/** A mistake of whoever starts the program; its message is all that they need. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

/**
 * @param given as often as it was said
 * @param where how the user knows the setting
 * @throws ConfigError
 */
export function parseSetting(setting: Setting, given: readonly string[], where: string): unknown {
  if (setting.kind === 'origins') return given.map((value) => parseOrigin(value, where))
  if (setting.kind === 'hosts') return given.map((value) => parseHost(value, where))
  if (setting.kind === 'urls') {
    return given.flatMap((value) => value.split(',')).map((value) => parseNodeUrl(value, where))
  }
  // Said twice on the command line, the last one counts, so that a script can be overruled.
  const value = given.at(-1) ?? ''
  switch (setting.kind) {
    case 'text':
    case 'secret':
    case 'file':
      if (value === '') throw new ConfigError(`${where} must not be empty`)
      return value
    case 'url':
      return parseNodeUrl(value, where)
    case 'word':
      if (setting.enum?.includes(value) === true) return value
      throw new ConfigError(`${where} must be one of ${setting.enum?.join(', ')}, not ${value}`)
    case 'switch':
      if (value === 'true' || value === 'false') return value === 'true'
      throw new ConfigError(`${where} must be true or false, not ${value}`)
    default:
      return parseNumber(setting, value, where)
  }
}

export const NUMBERS: Partial<
  Record<
    Kind,
    { parse(text: string): number | undefined; format(value: number): string; like: string }
  >
> = {
  size: { parse: parseSize, format: formatSize, like: 'a size such as 16MiB' },
  duration: { parse: parseDuration, format: formatDuration, like: 'a duration such as 30s' },
  count: {
    parse: (value) => (/^\d+$/.test(value) ? Number(value) : undefined),
    format: String,
    like: 'a whole number',
  },
}

function parseNumber(setting: Setting, value: string, where: string): number {
  const kind = NUMBERS[setting.kind]
  const number = kind?.parse(value)
  const { minimum = 0, maximum = Number.MAX_SAFE_INTEGER } = setting
  if (number !== undefined && number >= minimum && number <= maximum) return number
  throw new ConfigError(
    `${where} must be ${kind?.like} from ${kind?.format(minimum)} to ${kind?.format(maximum)}, not ${value}`,
  )
}

function parseOrigin(value: string, where: string): string {
  if (value === '*') return value
  const origin = URL.canParse(value) ? new URL(value).origin : 'null'
  if (origin !== 'null' && value.toLowerCase().replace(/\/$/, '') === origin) return origin
  throw new ConfigError(
    `${where} must be an origin such as https://app.example, or *, not ${value}`,
  )
}

function parseNodeUrl(value: string, where: string): string {
  const origin = URL.canParse(value) ? new URL(value).origin : 'null'
  if (/^https?:/.test(origin) && value.replace(/\/$/, '').toLowerCase() === origin) return origin
  throw new ConfigError(`${where} must be like http://host:port, not ${value}`)
}

function parseHost(value: string, where: string): string {
  if (/^(?:[a-z0-9._-]+|\[[0-9a-f:]+\])(?::\d+)?$/i.test(value)) return value.toLowerCase()
  throw new ConfigError(`${where} must be a host name such as log.example, not ${value}`)
}

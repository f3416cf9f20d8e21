/** The settings as `--help` shows them. */
import type { Kind, Role, Setting } from '../config.ts'
import { CONFIG_FILE_FLAG, flagOf, SETTINGS } from '../config.ts'
import { NUMBERS } from './setting-value.ts'

/** One line for every setting of a role, for `--help`. */
export function describeSettings(role: Role): string {
  const lines = Object.entries(SETTINGS[role]).map(([name, setting]): [string, string] => [
    `--${flagOf(name)}${placeholder(setting)}`,
    `${setting.description}${defaultOf(name, setting)}`,
  ])
  lines.push([
    `--${CONFIG_FILE_FLAG} FILE`,
    'JSON file with these settings by their camelCase names.',
  ])
  const width = Math.max(...lines.map(([flag]) => flag.length))
  return lines.map(([flag, description]) => `  ${flag.padEnd(width)}  ${description}`).join('\n')
}

function placeholder({ kind }: Setting): string {
  const words: Partial<Record<Kind, string>> = {
    text: ' TEXT',
    count: ' N',
    size: ' SIZE',
    duration: ' TIME',
    word: ' WORD',
    origins: ' ORIGIN',
    hosts: ' HOST',
    urls: ' URLS',
    url: ' URL',
    file: ' FILE',
    secret: ' TEXT',
  }
  return words[kind] ?? ''
}

function defaultOf(name: string, setting: Setting): string {
  const { default: value, kind } = setting
  const words = setting.enum === undefined ? '' : ` One of ${setting.enum.join(', ')}.`
  if (Array.isArray(value) || value === '' || value === 0) return words
  if (kind === 'switch') {
    return value === true ? ` On by default; --no-${flagOf(name)} turns it off.` : ''
  }
  const shown = typeof value === 'number' ? (NUMBERS[kind]?.format(value) ?? value) : value
  return `${words} [${String(shown)}]`
}

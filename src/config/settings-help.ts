/** The settings as `--help` shows them. */
import type { Kind, Setting, SettingName } from '../config.ts'
import { CONFIG_FILE_FLAG, flagOf, SETTING_NAMES, SETTINGS } from '../config.ts'
import { NUMBERS } from './setting-value.ts'

/** One line for every setting, for `--help`. */
export function describeSettings(): string {
  const lines = SETTING_NAMES.map((name): [string, string] => {
    const setting = SETTINGS[name]
    return [`--${flagOf(name)}${placeholder(setting)}`, `${setting.description}${defaultOf(name)}`]
  })
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
  }
  return words[kind] ?? ''
}

function defaultOf(name: SettingName): string {
  const setting = SETTINGS[name]
  const { default: value, kind } = setting
  const words = setting.enum === undefined ? '' : ` One of ${setting.enum.join(', ')}.`
  if (Array.isArray(value)) return words
  if (kind === 'switch') return ` On by default; --no-${flagOf(name)} turns it off.`
  const shown = typeof value === 'number' ? (NUMBERS[kind]?.format(value) ?? value) : value
  return `${words} [${String(shown)}]`
}

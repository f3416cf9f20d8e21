/** A logger for people at a terminal: one line of text for each event. */
import type { Clock } from './clock.ts'
import type { Logger } from './logger.ts'
import type { LogLevel } from './pino-logger.ts'
import { LOG_LEVELS } from './pino-logger.ts'

export interface TextLoggerOptions {
  readonly clock: Clock
  readonly level: LogLevel
  readonly write: (line: string) => void
  /** Fields of every line. */
  readonly base?: object
}

export function createTextLogger(options: TextLoggerOptions): Logger {
  const { clock, level, write, base = {} } = options
  const least = LOG_LEVELS.indexOf(level)
  const at = (name: Exclude<LogLevel, 'silent'>) => {
    if (LOG_LEVELS.indexOf(name) < least) return () => undefined
    return (fields: object, message: string): void => {
      const time = new Date(clock.nowMs()).toISOString().slice(11, 23)
      write(`${time} ${name.toUpperCase().padEnd(5)} ${message}${render({ ...base, ...fields })}\n`)
    }
  }
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => createTextLogger({ ...options, base: { ...base, ...fields } }),
  }
}

function render(fields: object): string {
  let stack = ''
  const texts = Object.entries(fields).map(([name, value]: [string, unknown]) => {
    if (!(value instanceof Error)) return ` ${name}=${plain(value)}`
    stack += `\n${value.stack ?? value.message}`
    return ` ${name}=${plain(value.message)}`
  })
  return texts.join('') + stack
}

/** A bare word as it is, all else as JSON: a value can never look like another line or field. */
function plain(value: unknown): string {
  return typeof value === 'string' && /^[\w./:@+-]+$/.test(value)
    ? value
    : String(JSON.stringify(value))
}

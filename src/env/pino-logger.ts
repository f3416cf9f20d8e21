/** The real logger: one JSON object a line. */
import { destination, pino } from 'pino'
import type { Logger } from './logger.ts'

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

export interface PinoLoggerOptions {
  readonly level: LogLevel
  /** Descriptor to write to; 1 is standard output. */
  readonly fd?: number
  /** Fields of every line. */
  readonly base?: Readonly<Record<string, string | number>>
}

export function createPinoLogger(options: PinoLoggerOptions): Logger {
  // Synchronous, so that the last lines before a crash are not lost; hot paths do not log.
  const stream = destination({ fd: options.fd ?? 1, sync: true })
  return pino({ level: options.level, base: { ...options.base } }, stream)
}

/** Every setting of the program: its type, default, bounds and explanation, in one schema. */
import type { Static, TSchema } from 'typebox'
import { Type } from 'typebox'

const KIB = 1024
const MIB = 1024 * KIB
const GIB = 1024 * MIB

/** How text becomes a value; names that end in Bytes or Ms take units. */
export type Kind = 'text' | 'count' | 'size' | 'duration' | 'switch' | 'word' | 'origins' | 'hosts'

export interface Setting {
  readonly kind: Kind
  readonly description: string
  readonly default: unknown
  readonly minimum?: number
  readonly maximum?: number
  readonly enum?: readonly string[]
}

const text = (description: string, value: string) =>
  Type.String({ kind: 'text', description, default: value })
const count = (description: string, value: number, minimum: number, maximum: number) =>
  Type.Integer({ kind: 'count', description, default: value, minimum, maximum })
const size = (description: string, value: number, minimum: number, maximum: number) =>
  Type.Integer({ kind: 'size', description, default: value, minimum, maximum })
const duration = (description: string, value: number, minimum: number, maximum: number) =>
  Type.Integer({ kind: 'duration', description, default: value, minimum, maximum })
const word = <const T extends readonly string[]>(description: string, words: T, value: T[number]) =>
  Type.Unsafe<T[number]>({ type: 'string', kind: 'word', enum: words, description, default: value })
const list = (kind: 'origins' | 'hosts', description: string) =>
  Type.Array(Type.String(), { kind, description, default: [] })

export const Config = Type.Object({
  host: text('Address to listen on.', '127.0.0.1'),
  port: count('Port to listen on; 0 takes a free one.', 8080, 0, 65_535),
  data: text('Folder of the data.', './data'),
  corsOrigin: list(
    'origins',
    'Origin whose pages may read and write; repeatable, * for every one.',
  ),
  allowedHost: list(
    'hosts',
    'Further name that Host may have while bound to loopback; repeatable.',
  ),
  autoCreateTopics: Type.Boolean({
    kind: 'switch',
    description: 'Whether produce creates a topic that is not there.',
    default: true,
  }),
  maxRequestBytes: size('Largest body, after inflating.', 16 * MIB, KIB, GIB),
  maxBodyMemoryBytes: size('Memory for all bodies in flight together.', 256 * MIB, MIB, 64 * GIB),
  maxConnections: count('Most connections at once.', 15_000, 1, 1_000_000),
  maxStreams: count('Most streams (server-sent events) at once.', 12_000, 1, 1_000_000),
  maxWaitingReads: count('Most reads that wait for records at once.', 10_000, 1, 1_000_000),
  memoryTailBytes: size('Memory for the newest records.', 128 * MIB, MIB, 64 * GIB),
  unwrittenBytes: size('Accepted bytes that may wait for their log file.', 64 * MIB, MIB, 64 * GIB),
  journalFileBytes: size('Size of one file of the journal.', 64 * MIB, 18 * MIB, GIB),
  journalBytes: size('Size of the journal at which producers wait.', 512 * MIB, 64 * MIB, 64 * GIB),
  minFreeBytes: size('Free disk space below which records are refused.', 96 * MIB, 0, 64 * GIB),
  checkpointIntervalMs: duration('Time between checkpoints.', 10_000, 100, 3_600_000),
  drainTimeoutMs: duration('Longest time to finish what is under way.', 15_000, 0, 3_600_000),
  logLevel: word(
    'Least important lines to log.',
    ['debug', 'info', 'warn', 'error', 'silent'],
    'info',
  ),
  logFormat: word(
    'auto is text on a terminal and json elsewhere.',
    ['auto', 'json', 'text'],
    'auto',
  ),
})
export type Config = Readonly<Static<typeof Config>>
export type SettingName = keyof Config & string

export const SETTINGS = Config.properties as unknown as Readonly<
  Record<SettingName, Setting & TSchema>
>
export const SETTING_NAMES = Object.keys(SETTINGS) as SettingName[]

export const ENV_PREFIX = 'CURLEW_'
export const CONFIG_FILE_FLAG = 'config'
export const CONFIG_FILE_ENV = 'CURLEW_CONFIG'

/** `maxRequestBytes` is `--max-request-bytes`. */
export function flagOf(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

/** `maxRequestBytes` is `CURLEW_MAX_REQUEST_BYTES`. */
export function envOf(name: string): string {
  return ENV_PREFIX + flagOf(name).replaceAll('-', '_').toUpperCase()
}

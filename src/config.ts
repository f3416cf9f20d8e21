/** Every setting of the program: its type, default, bounds and explanation; one schema per role. */
import type { Static, TSchema } from 'typebox'
import { Type } from 'typebox'

const KIB = 1024
const MIB = 1024 * KIB
const GIB = 1024 * MIB

/** How text becomes a value; names that end in Bytes or Ms take units. */
export type Kind =
  | 'text'
  | 'secret'
  | 'count'
  | 'size'
  | 'duration'
  | 'switch'
  | 'word'
  | 'origins'
  | 'hosts'
  | 'urls'
  | 'url'
  | 'file'

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
/** A text that may be left out, and then is empty. */
const optional = (description: string) => Type.String({ kind: 'text', description, default: '' })
/** A file that may be left out; empty then. */
const file = (description: string) => Type.String({ kind: 'file', description, default: '' })
const url = (description: string) => Type.String({ kind: 'url', description, default: '' })
const secret = (description: string) => Type.String({ kind: 'secret', description, default: '' })
const count = (description: string, value: number, minimum: number, maximum: number) =>
  Type.Integer({ kind: 'count', description, default: value, minimum, maximum })
const size = (description: string, value: number, minimum: number, maximum: number) =>
  Type.Integer({ kind: 'size', description, default: value, minimum, maximum })
const duration = (description: string, value: number, minimum: number, maximum: number) =>
  Type.Integer({ kind: 'duration', description, default: value, minimum, maximum })
const on = (description: string, value: boolean) =>
  Type.Boolean({ kind: 'switch', description, default: value })
const word = <const T extends readonly string[]>(description: string, words: T, value: T[number]) =>
  Type.Unsafe<T[number]>({ type: 'string', kind: 'word', enum: words, description, default: value })
const list = (kind: 'origins' | 'hosts' | 'urls', description: string) =>
  Type.Array(Type.String(), { kind, description, default: [] })

const listening = (port: number) => ({
  host: text('Address to listen on.', '127.0.0.1'),
  port: count('Port to listen on; 0 takes a free one.', port, 0, 65_535),
})

const DATA = { data: text('Folder of the data.', './data') }

/** Of whoever answers clients. */
const publicHttp = (autoCreateTopics: boolean) => ({
  corsOrigin: list(
    'origins',
    'Origin whose pages may read and write; repeatable, * for every one.',
  ),
  allowedHost: list(
    'hosts',
    'Further name that Host may have while bound to loopback; repeatable.',
  ),
  autoCreateTopics: on('Whether produce creates a topic that is not there.', autoCreateTopics),
  maxRequestBytes: size('Largest body, after inflating.', 16 * MIB, KIB, GIB),
  maxBodyMemoryBytes: size('Memory for all bodies in flight together.', 256 * MIB, MIB, 64 * GIB),
  maxConnections: count('Most connections at once.', 15_000, 1, 1_000_000),
  maxStreams: count('Most streams (server-sent events) at once.', 12_000, 1, 1_000_000),
  maxWaitingReads: count('Most reads that wait for records at once.', 10_000, 1, 1_000_000),
})

/** Of whoever keeps records. */
const STORAGE = {
  memoryTailBytes: size('Memory for the newest records.', 128 * MIB, MIB, 64 * GIB),
  unwrittenBytes: size('Accepted bytes that may wait for their log file.', 64 * MIB, MIB, 64 * GIB),
  journalFileBytes: size('Size of one file of the journal.', 64 * MIB, 18 * MIB, GIB),
  journalBytes: size('Size of the journal at which producers wait.', 512 * MIB, 64 * MIB, 64 * GIB),
  minFreeBytes: size('Free disk space below which records are refused.', 96 * MIB, 0, 64 * GIB),
  checkpointIntervalMs: duration('Time between checkpoints.', 10_000, 100, 3_600_000),
  directIo: on('Whether records are written past the page cache, where the system can.', true),
}

/** How the nodes of a cluster trust each other. */
const NODE_TRUST = {
  clusterSecret: secret('What the nodes of a cluster prove to each other that they know.'),
  tlsCert: file('Certificate of this node, PEM; calls between nodes then go over mutual TLS.'),
  tlsKey: file('Private key of that certificate, PEM.'),
  tlsCa: file('Authority that vouches for nodes, PEM; for nothing but nodes of this cluster.'),
}

const RUNNING = {
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
}

/** One process that does everything. */
export const Config = Type.Object({
  ...listening(8080),
  ...DATA,
  ...publicHttp(true),
  ...STORAGE,
  ...RUNNING,
})
export type Config = Readonly<Static<typeof Config>>

/** A node of a cluster that keeps records. */
export const StorageConfig = Type.Object({
  nodeId: count('Number of this node, its own in the cluster; from 1.', 0, 1, 1_000_000),
  etcd: list('urls', 'etcd members that keep the metadata, as http://HOST:2379,...'),
  etcdPrefix: text('Before every key, so that clusters can share an etcd.', '/curlew'),
  etcdUser: optional('User of etcd, if it asks for one.'),
  etcdPassword: secret('Password of that user.'),
  etcdCa: file('Authority that vouches for etcd members, PEM; those of Node.js if empty.'),
  etcdCert: file('Certificate for etcd members that ask for one, PEM.'),
  etcdKey: file('Private key of that certificate, PEM.'),
  ...NODE_TRUST,
  ...listening(9001),
  advertise: url('Where other nodes reach this one, as http://HOST:PORT; host and port if empty.'),
  opsPort: count('Port for /healthz, /readyz and /metrics; 0 takes a free one.', 9101, 0, 65_535),
  rack: optional(
    'What fails together with this node; replicas go to different ones. The host name if empty.',
  ),
  ...DATA,
  acceptEmptyData: on(
    'Start although the data of this node are gone; it copies them again.',
    false,
  ),
  leaseTtlMs: duration('Time after which a silent node counts as gone.', 10_000, 2_000, 600_000),
  replicaLagMaxMs: duration('Time that a replica in sync may be behind.', 10_000, 500, 600_000),
  ...STORAGE,
  ...RUNNING,
})
export type StorageConfig = Readonly<Static<typeof StorageConfig>>

/** A node of a cluster that answers clients. */
export const FrontConfig = Type.Object({
  storage: list('urls', 'Storage nodes to begin with, as http://HOST:9001,...'),
  rack: optional('Where this front is: in-sync replicas of the same rack are read first.'),
  ...NODE_TRUST,
  ...listening(8080),
  ...publicHttp(false),
  ...RUNNING,
})
export type FrontConfig = Readonly<Static<typeof FrontConfig>>

export interface Configs {
  readonly standalone: Config
  readonly storage: StorageConfig
  readonly front: FrontConfig
}
export type Role = keyof Configs

type Settings = Readonly<Record<string, Setting & TSchema>>

/** What each role can be told, by camelCase name. */
export const SETTINGS: Readonly<Record<Role, Settings>> = {
  standalone: Config.properties as unknown as Settings,
  storage: StorageConfig.properties as unknown as Settings,
  front: FrontConfig.properties as unknown as Settings,
}
export const ROLES = Object.keys(SETTINGS) as Role[]

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

/** What can be set about the storage of a node, and what it is when nothing is said. */
import type { JournalOptions } from './journal.ts'

const MIB = 1024 * 1024

export interface StorageOptions {
  readonly dataDirectory: string
  readonly clusterId: string
  readonly nodeId: number
  /** The cluster knows records of this node: an empty data folder is refused. */
  readonly mustExist: boolean
  /** Recent batches kept in memory, over all logs. */
  readonly memoryBytes: number
  /** Bytes accepted that are in no segment yet; beyond it appends wait, then are refused. */
  readonly maxUnwrittenBytes: number
  /** Bytes of the journal that recovery would have to read; beyond it appends wait, then are refused. */
  readonly maxJournalBytes: number
  readonly maxOpenFiles: number
  readonly checkpointIntervalMs: number
  readonly retentionIntervalMs: number
  /** How often it is looked for logs to compact. */
  readonly compactionIntervalMs: number
  /** Bytes a second that compaction reads and writes. */
  readonly compactionBytesPerSecond: number
  /** Memory for the keys that one pass over a log looks at; with more keys it takes more passes. */
  readonly compactionKeyBytes: number
  /** How long files outlive the records in them. */
  readonly fileDeleteDelayMs: number
  /** How long an append waits for room, and how many may. */
  readonly appendWaitMs: number
  readonly appendsWaitingMax: number
  /** Space laid by, to be given up when the disk is full. */
  readonly ballastBytes: number
  /** With less than this free, records are refused. */
  readonly minFreeBytes: number
  readonly journal: Partial<Omit<JournalOptions, 'directory'>>
}

export const STORAGE_DEFAULTS: Omit<StorageOptions, 'dataDirectory' | 'clusterId' | 'nodeId'> = {
  mustExist: false,
  memoryBytes: 128 * MIB,
  maxUnwrittenBytes: 64 * MIB,
  maxJournalBytes: 512 * MIB,
  maxOpenFiles: 4096,
  checkpointIntervalMs: 10_000,
  retentionIntervalMs: 30_000,
  compactionIntervalMs: 5_000,
  compactionBytesPerSecond: 16 * MIB,
  compactionKeyBytes: 48 * MIB,
  fileDeleteDelayMs: 10_000,
  appendWaitMs: 2_000,
  appendsWaitingMax: 4096,
  ballastBytes: 32 * MIB,
  minFreeBytes: 96 * MIB,
  journal: {},
}

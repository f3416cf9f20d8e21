/** Every upper bound of the product that is not a setting. Bytes and milliseconds. */
const KIB = 1024
const MIB = 1024 * KIB

export const LIMITS = {
  /** Partitions of one topic. */
  partitionsPerTopic: 10_000,
  /** Partitions that one read may cover. */
  partitionsPerRead: 256,
  /** `wait=` in seconds, below the idle timeout of common proxies. */
  waitSeconds: 55,
  /** `limit=` of a read, and what it is when the query has none. */
  recordsPerRead: 10_000,
  recordsPerReadDefault: 1_000,
  /** `maxBytes=` of a read. */
  bytesPerRead: 8 * MIB,
  bytesPerReadDefault: 1 * MIB,
  /** Headers of one record. */
  headersPerRecord: 100,
  keyBytes: 64 * KIB,
  /** Records of one produce request. */
  recordsPerRequest: 100_000,
  /** How deep arrays and objects of a JSON value may be nested. */
  jsonDepth: 256,
  /** Faults that one answer lists. */
  faultsPerAnswer: 20,
  /** How far in the future a client's timestamp may lie. */
  futureTimestampMs: 3_600_000,
  /** One chunk of a `stream=true` upload. */
  uploadChunkRecords: 1_000,
  uploadChunkBytes: 1 * MIB,
  /** Unsent bytes that a slow reader may hold. */
  readerBufferBytes: 1 * MIB,
  /** A reader that takes nothing for so long is closed. */
  readerStallMs: 20_000,
  /** Framed bytes that one tail hub keeps. */
  tailHubRingBytes: 8 * MIB,
  membersPerGroup: 1_000,
  topicsPerSubscription: 256,
  /** Partitions of one commit, or of the offsets that one group holds. */
  offsetsPerGroup: 100_000,
  offsetsPerCommit: 10_000,
  /** The note beside a committed offset. */
  offsetMetadataBytes: 4 * KIB,
} as const

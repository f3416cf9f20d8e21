/** Lines by which a node keeps what it promised, over crashes and compaction. */
import type { Mutation } from './mutation.ts'

const CHECKPOINTS = 'src/storage/checkpoint-writer.ts'
const COMPACTION_PASS = 'src/storage/compaction-pass.ts'
const RECOVERY = 'src/storage/log-recovery.ts'

const CLUSTER_PART = 'test/replication/cluster-part.test.ts'
const COMPACTION = 'test/storage/compaction.test.ts'

export const STORAGE_MUTATIONS: readonly Mutation[] = [
  {
    name: 'a deletion is promised before it is durable',
    file: 'src/storage/log-manager.ts',
    find: 'await durable\n',
    replace: '\n',
    test: 'test/storage/retention.test.ts',
  },
  {
    name: 'a cut takes damage for the end of the log',
    file: 'src/storage/log-files.ts',
    find: 'if (!isFound && endOffset < offset) {',
    replace: 'if (isFound && endOffset < 0) {',
    scenario: 'follower-cuts-a-damaged-log',
  },
  {
    name: 'retention removes what is not committed',
    file: 'src/storage/log-cleaner.ts',
    find: '|| segment.endOffset > log.highWatermark) break',
    replace: ') break',
  },
  {
    name: 'records are promised before they are durable',
    file: 'src/storage/journal.ts',
    find: 'await written\n',
    replace: 'written.catch((error) => this.#fail(error))\n',
    scenario: 'power-goes-with-the-acknowledgement',
  },
  {
    name: 'a failed sync is taken for a success',
    file: 'src/storage/journal.ts',
    find: 'await written\n',
    replace: 'await written.catch(() => undefined)\n',
  },
  {
    name: 'records stay that the journal has refused',
    file: 'src/storage/log-appender.ts',
    find: "if (log.flush === 'commit' && !log.deleted) log.refuseFrom(log.keptEnd)",
    replace: '',
    test: 'test/replication/replica-append.test.ts',
  },
  {
    name: 'the journal is freed before a checkpoint has what it holds',
    file: CHECKPOINTS,
    find: 'await this.#commit(captured, clean)\n',
    replace: 'journal.release(captured.position)\n      await this.#commit(captured, clean)\n',
    test: 'test/storage/checkpoint-writer.test.ts',
  },
  {
    name: 'a checkpoint has what is not synced',
    file: CHECKPOINTS,
    find: 'await this.syncLog(log)\n    this.#synced.set',
    replace: 'this.#synced.set',
    test: CLUSTER_PART,
  },
  {
    name: 'the journal is torn wherever it cannot be read',
    file: 'src/storage/journal-replay.ts',
    find: 'if (later === undefined && !this.#mustGoOn())',
    replace: 'if (later === undefined || this.#groups >= 0)',
    test: 'test/storage/journal-crash.test.ts',
  },
  {
    name: 'the journal goes on in a file to which nothing leads',
    file: 'src/storage/journal.ts',
    find: 'if (this.#left !== undefined) await this.#writeLink(',
    replace: 'if (this.#left !== undefined && file.slot < 0) await this.#writeLink(',
    test: 'test/sim/journal-damage.test.ts',
  },
  {
    name: 'logs count as whole whatever was in the damaged part of the journal',
    file: RECOVERY,
    find: 'log.damage = `records from',
    replace: 'if (log.endOffset < 0) log.damage = `records from',
    test: 'test/sim/journal-damage.test.ts',
  },
  {
    name: 'logs count as whole though the journal misses records of theirs',
    file: RECOVERY,
    find: 'else log.damage ??= detail\n',
    replace: '\n',
    test: 'test/storage/log-recovery.test.ts',
  },
  {
    name: 'what was written and not synced counts as kept',
    file: RECOVERY,
    find: "if (log.flush !== 'os') continue\n      log.lossPossible = true\n",
    replace: "if (log.flush !== 'os') continue\n",
    test: CLUSTER_PART,
  },
  {
    name: 'followers are sent what the journal may still refuse',
    file: 'src/storage/partition-log.ts',
    find: 'return this.#placedEnd',
    replace: 'return this.#endOffset',
    scenario: 'leader-takes-back-what-waits',
  },
  {
    name: 'compaction removes records whose key has no later one',
    file: 'src/storage/compaction-pass.ts',
    find: 'if (this.#keys.last(bytes, keyStart, keyEnd) > offset) return false',
    replace: 'if (this.#keys.last(bytes, keyStart, keyEnd) >= offset) return false',
  },
  {
    name: 'compaction counts records that are not committed',
    file: 'src/storage/compaction-plan.ts',
    find: 'const limit = Math.min(log.highWatermark, closedEnd)',
    replace: 'const limit = closedEnd',
    scenario: 'leader-has-records-of-keys-that-are-never-committed',
  },
  {
    name: 'compaction takes segments that no checkpoint has',
    file: CHECKPOINTS,
    find: 'return held?.generation === log.generation ? held.closedEnd : 0',
    replace: 'return log.segments.at(-1)?.baseOffset ?? 0',
    test: COMPACTION,
  },
  {
    name: 'files go at once that compaction has replaced',
    file: 'src/storage/log-compactor.ts',
    find: 'checkpoints.afterNext(() => removeFiles(log, replaced))',
    replace: 'removeFiles(log, replaced)',
    test: COMPACTION,
  },
  {
    name: 'what compaction wrote goes into a log that was cut meanwhile',
    file: COMPACTION_PASS,
    find: 'if (!this.#isCurrent || !this.#log.replace(group, segment)) {',
    replace: 'if (!this.#log.replace(group, segment)) {',
    test: COMPACTION,
  },
  {
    name: 'deletions of keys go at once',
    file: COMPACTION_PASS,
    find: 'const isPurged = mayPurge && ownHorizonMs !== -1 && nowMs >= ownHorizonMs',
    replace: 'const isPurged = mayPurge || nowMs < ownHorizonMs',
    test: COMPACTION,
  },
  {
    name: 'nobody notes that deletions of keys are gone',
    file: COMPACTION_PASS,
    find: 'this.#purgedEnd = Math.max(this.#purgedEnd, offset + 1)\n',
    replace: '\n',
    test: 'test/replication/compacted-copy.test.ts',
  },
]

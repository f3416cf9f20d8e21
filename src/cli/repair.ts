/**
 * `curlew repair`: shows what of a stopped node's data is damaged and which records that costs. With
 * `apply` it moves damaged bytes to the quarantine and makes the node startable.
 */
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import type { Random } from '../env/random.ts'
import type { Checkpoint, CheckpointedLog } from '../storage/checkpoint.ts'
import { readCheckpoint, replayStart, writeCheckpoint } from '../storage/checkpoint.ts'
import type { JournalPosition } from '../storage/journal-index.ts'
import type { ReplayOutcome } from '../storage/journal-replay.ts'
import { JournalReplay } from '../storage/journal-replay.ts'
import { isOfStorageNode } from '../storage/last-registration.ts'
import { logDirectory } from '../storage/log-files.ts'
import { LogManager } from '../storage/log-manager.ts'
import { quarantinePath } from '../storage/quarantine.ts'
import { STORAGE_DEFAULTS } from '../storage/storage-options.ts'
import { adoptBeyondEnd } from './adopt-beyond-end.ts'
import { checkMetadata } from './check-metadata.ts'
import type { SegmentAudit } from './log-damage.ts'
import { auditLog, isDamaged } from './log-damage.ts'
import { mendSegment } from './mend-segment.ts'
import type { OfflineDeps } from './offline-deps.ts'
import { rebuildMetadata } from './rebuild-metadata.ts'
import type { FolderState } from './restore-folder.ts'
import { restoreFolder } from './restore-folder.ts'

export interface RepairDeps extends OfflineDeps {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

export interface RepairOptions {
  readonly dataDirectory: string
  /** Changes nothing without it. */
  readonly apply: boolean
  /** Make the metadata anew, if they cannot be read. */
  readonly rebuildMetadata?: boolean
}

/** Resolves to the exit code: 0 if all is well (now), 1 if there is damage left, 2 if the folder cannot be used. */
export async function repair(deps: RepairDeps, options: RepairOptions): Promise<number> {
  const { dataDirectory } = options
  if ((await deps.fileSystem.size(dataDirectory)) === undefined) {
    deps.write(`${dataDirectory}: no such folder`)
    return 2
  }
  if (options.rebuildMetadata === true && (await isOfStorageNode(deps.fileSystem, dataDirectory))) {
    deps.write(`${dataDirectory} belongs to a storage node, whose cluster has its metadata in etcd`)
    return 2
  }
  const lock = await deps.fileSystem.lock(`${dataDirectory}/lock`)
  if (lock === undefined) {
    deps.write(`${dataDirectory} is in use: stop the node first`)
    return 2
  }
  let state: FolderState | undefined
  try {
    state = await restoreFolder(deps, dataDirectory, options.apply)
  } finally {
    await lock.release()
  }
  if (state === undefined) return 2
  const run = new Repair(deps, options, state)
  // Recovery takes the lock itself.
  if (options.apply) await run.recover()
  const exitCode = await run.finish()
  if (await checkMetadata(deps, dataDirectory, options.rebuildMetadata)) return exitCode
  if (options.rebuildMetadata !== true) return 1
  const { logs } = await run.checkpoint()
  await rebuildMetadata(deps, { dataDirectory, identity: state.identity, logs }, options.apply)
  return options.apply ? exitCode : 1
}

class Repair {
  readonly #deps: RepairDeps
  readonly #dataDirectory: string
  readonly #apply: boolean
  readonly #state: FolderState
  #faults: number

  constructor(deps: RepairDeps, { dataDirectory, apply }: RepairOptions, state: FolderState) {
    this.#deps = deps
    this.#dataDirectory = dataDirectory
    this.#apply = apply
    this.#state = state
    this.#faults = state.faults
  }

  /** What the journal has is brought into the logs, as at a start of the node. */
  async recover(): Promise<void> {
    const { fileSystem } = this.#deps
    const { clusterId, nodeId } = this.#state.identity
    const fileBytes = await fileSystem.size(`${this.#dataDirectory}/journal/0`)
    const manager = await LogManager.open(
      this.#deps,
      {
        ...STORAGE_DEFAULTS,
        dataDirectory: this.#dataDirectory,
        clusterId,
        nodeId,
        ballastBytes: 0,
        minFreeBytes: 0,
        journal: fileBytes === undefined ? {} : { fileBytes },
      },
      (error) => {
        throw error
      },
    )
    await manager.close()
  }

  /** As it is after what was done so far. */
  async checkpoint(): Promise<Checkpoint> {
    const read = await readCheckpoint(this.#deps.fileSystem, this.#dataDirectory)
    return this.#apply && read.state === 'found' ? read.checkpoint : this.#state.checkpoint
  }

  /** Looks at every log, and mends it. */
  async finish(): Promise<number> {
    const { fileSystem, write } = this.#deps
    const checkpoint = await this.checkpoint()
    if (!this.#apply) await this.#checkJournal(checkpoint)
    const logs: CheckpointedLog[] = []
    for (const log of checkpoint.logs) {
      logs.push(log.deleted === true ? log : await this.#repairLog(log))
    }
    if (this.#faults === 0) {
      write(`${this.#dataDirectory}: no damage found in ${logs.length} logs`)
      return 0
    }
    if (!this.#apply) {
      write(`${this.#faults} faults; nothing was changed. Run with --apply to mend them.`)
      return 1
    }
    await writeCheckpoint(fileSystem, this.#dataDirectory, { ...checkpoint, logs })
    write(
      `${this.#faults} faults mended. Damaged bytes are in ${quarantinePath(this.#dataDirectory)}`,
    )
    return 0
  }

  async #checkJournal(checkpoint: Checkpoint): Promise<void> {
    const start = replayStart(checkpoint)
    if (start === undefined) return
    const { fileSystem, write } = this.#deps
    const directory = `${this.#dataDirectory}/journal`
    let from: JournalPosition | undefined = start
    while (from !== undefined) {
      const outcome: ReplayOutcome = await new JournalReplay(fileSystem, directory, from).run(
        () => undefined,
      )
      if (outcome.end !== 'damaged') return
      from = outcome.resumeAt
      if (outcome.lost?.length === 0) continue
      this.#faults++
      write(`journal: ${outcome.detail}`)
      write('  each log that may have had records there is marked damaged at the next start')
    }
  }

  async #repairLog(log: CheckpointedLog): Promise<CheckpointedLog> {
    const path = logDirectory(`${this.#dataDirectory}/logs`, log)
    const folder = { path, name: `${log.topicName}-${log.partition}.${log.topicId}` }
    let mended = log
    if (log.damage !== undefined) mended = await this.#repairEnd(folder, log)
    const audits = await auditLog(this.#deps.fileSystem, path, mended)
    const damaged = audits.filter(isDamaged)
    if (damaged.length === 0) return mended
    const segments = [...mended.segments]
    for (const audit of damaged) {
      this.#report(log, audit)
      if (!this.#apply) continue
      const { fileSystem } = this.#deps
      const state = await mendSegment(fileSystem, this.#dataDirectory, folder, audit)
      segments[mended.segments.indexOf(audit.state)] = state
    }
    const endOffset = segments.at(-1)?.endOffset ?? mended.endOffset
    return { ...mended, segments, endOffset }
  }

  /** The log was marked because its end cannot be known: it ends with what can be found. */
  async #repairEnd(
    folder: { path: string; name: string },
    log: CheckpointedLog,
  ): Promise<CheckpointedLog> {
    const { fileSystem, write } = this.#deps
    this.#faults++
    const place = { fileSystem, dataDirectory: this.#dataDirectory, folder, apply: this.#apply }
    const { damage, ...whole } = await adoptBeyondEnd(place, log)
    write(`${log.topicName}-${log.partition}: ${damage}`)
    if (whole.endOffset > log.endOffset) {
      write(`  records ${log.endOffset}-${whole.endOffset - 1} are in the segments and are kept`)
    }
    write(`  the log ends at ${whole.endOffset}; records that may have followed are lost`)
    return { ...whole, lossPossible: true }
  }

  #report(log: CheckpointedLog, { path, pieces }: SegmentAudit): void {
    for (const piece of pieces) {
      if (piece.kind === 'kept') continue
      this.#faults++
      const { position, sizeBytes, fromOffset, toOffset } = piece
      const lost = fromOffset === toOffset ? 'no records' : `records ${fromOffset}-${toOffset - 1}`
      this.#deps.write(
        `${log.topicName}-${log.partition}: ${lost} lost; ${sizeBytes} damaged bytes at ${position} of ${path}`,
      )
    }
  }
}

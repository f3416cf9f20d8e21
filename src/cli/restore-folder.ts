/** The two files without which a data folder cannot be read at all: each can be made from the rest. */
import type { Checkpoint } from '../storage/checkpoint.ts'
import { missingJournal, readCheckpoint, writeCheckpoint } from '../storage/checkpoint.ts'
import type { NodeIdentity } from '../storage/node-identity.ts'
import { DataDirectoryError, readIdentity, writeIdentity } from '../storage/node-identity.ts'
import type { OfflineDeps } from './offline-deps.ts'
import { rebuildCheckpoint, setJournalAside } from './rebuild-checkpoint.ts'

export interface FolderState {
  readonly identity: NodeIdentity
  readonly checkpoint: Checkpoint
  readonly faults: number
}

/** Undefined if nothing can be done; then it was said why. */
export async function restoreFolder(
  deps: OfflineDeps,
  dataDirectory: string,
  apply: boolean,
): Promise<FolderState | undefined> {
  const { fileSystem, write } = deps
  const read = await readCheckpoint(fileSystem, dataDirectory)
  const found = await identityOf(deps, dataDirectory)
  const known = read.state === 'found' ? read.checkpoint.identity : undefined
  const identity = found ?? known
  if (identity === undefined) {
    write(
      `${dataDirectory}: neither node.json nor the checkpoint can be read; nothing says whose data it is`,
    )
    return undefined
  }
  let faults = 0
  if (found === undefined) {
    faults++
    write('node.json: made again from the checkpoint')
    if (apply) await writeIdentity(fileSystem, dataDirectory, identity)
  }
  if (read.state === 'found') {
    const checkpoint = await withoutMissingJournal(deps, dataDirectory, read.checkpoint)
    if (checkpoint === undefined) return { identity, checkpoint: read.checkpoint, faults }
    if (apply) await writeCheckpoint(fileSystem, dataDirectory, checkpoint)
    return { identity, checkpoint, faults: faults + 1 }
  }
  write(`checkpoint: ${read.state === 'missing' ? 'it is missing' : read.detail}`)
  write('  it is made again from the segments; records that were in the journal only are lost')
  const checkpoint = await rebuildCheckpoint(fileSystem, dataDirectory, identity)
  if (apply) {
    const files = await setJournalAside(fileSystem, dataDirectory)
    write(`  ${files} journal files are moved to the quarantine`)
    await writeCheckpoint(fileSystem, dataDirectory, checkpoint)
  }
  return { identity, checkpoint, faults: faults + 1 }
}

/** The checkpoint as it is without its journal; undefined if the journal is there, or not needed. */
async function withoutMissingJournal(
  { fileSystem, write }: OfflineDeps,
  dataDirectory: string,
  checkpoint: Checkpoint,
): Promise<Checkpoint | undefined> {
  const missing = await missingJournal(fileSystem, dataDirectory, checkpoint)
  if (missing === undefined) return undefined
  write(`journal: ${missing} is missing`)
  write('  each log ends with what was synced last; records that came later are lost')
  const logs = checkpoint.logs.map((log) => ({ ...log, lossPossible: true as const }))
  return { ...checkpoint, journal: undefined, logs }
}

async function identityOf(
  { fileSystem, write }: OfflineDeps,
  dataDirectory: string,
): Promise<NodeIdentity | undefined> {
  try {
    const identity = await readIdentity(fileSystem, dataDirectory)
    if (identity === undefined) write('node.json: it is missing')
    return identity
  } catch (error) {
    if (!(error instanceof DataDirectoryError)) throw error
    write(`node.json: ${error.message}`)
    return undefined
  }
}

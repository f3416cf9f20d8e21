/**
 * Whose data a folder holds. `node.json` is made once, in an empty folder; afterwards a node starts
 * only on the folder that is its own, so that a missing mount or a swapped disk cannot pass for an
 * empty node. A lock keeps a second process out.
 */
import { dirname, resolve } from 'node:path'
import type { FileSystem } from '../env/file-system.ts'
import type { Logger } from '../env/logger.ts'
import type { Random } from '../env/random.ts'
import { readCheckpoint, writeCheckpoint } from './checkpoint.ts'
import type { NodeIdentity } from './node-identity.ts'
import { DataDirectoryError, readIdentity, writeIdentity } from './node-identity.ts'

const DIRECTORY_ID_BYTES = 16
/** What storage keeps in the folder beside the identity. */
const CONTENT = ['journal', 'logs'] as const

export interface DataDirectoryOptions {
  readonly path: string
  readonly clusterId: string
  readonly nodeId: number
  /** The cluster knows this node already: an empty folder is then refused, not taken for a new one. */
  readonly mustExist: boolean
}

export class DataDirectory {
  readonly path: string
  readonly identity: NodeIdentity
  /** Whether the folder was made just now. */
  readonly isNew: boolean
  readonly #lock: { release(): Promise<void> }

  private constructor(
    path: string,
    identity: NodeIdentity,
    isNew: boolean,
    lock: { release(): Promise<void> },
  ) {
    this.path = path
    this.identity = identity
    this.isNew = isNew
    this.#lock = lock
  }

  /** @throws DataDirectoryError */
  static async open(
    deps: { fileSystem: FileSystem; random: Random; logger: Logger },
    options: DataDirectoryOptions,
  ): Promise<DataDirectory> {
    const { path } = options
    await deps.fileSystem.makeDirectory(path)
    const lock = await deps.fileSystem.lock(`${path}/lock`)
    if (lock === undefined) {
      throw new DataDirectoryError(
        `another process uses the data folder ${path}: stop it, or give this one a folder of its own`,
      )
    }
    try {
      const found = await readIdentity(deps.fileSystem, path)
      const identity = found ?? (await create(deps, options))
      checkIdentity(identity, options)
      return new DataDirectory(path, identity, found === undefined, lock)
    } catch (error) {
      await lock.release()
      throw error
    }
  }

  async close(): Promise<void> {
    await this.#lock.release()
  }
}

async function create(
  deps: { fileSystem: FileSystem; random: Random; logger: Logger },
  options: DataDirectoryOptions,
): Promise<NodeIdentity> {
  const { path, clusterId, nodeId } = options
  const left = await contentOf(deps.fileSystem, path)
  if (left !== undefined) {
    throw new DataDirectoryError(
      `${path} holds ${left} but no node.json: it is not a whole data folder; \`curlew repair\` can restore it`,
    )
  }
  if (options.mustExist) {
    throw new DataDirectoryError(
      `${path} is empty, but the cluster has records on node ${nodeId}: is its disk mounted?`,
    )
  }
  const directoryId = Buffer.from(deps.random.bytes(DIRECTORY_ID_BYTES)).toString('hex')
  const identity = { clusterId, nodeId, directoryId }
  await syncAncestors(deps.fileSystem, path)
  // The identity comes last: where it is, a checkpoint must be.
  await writeCheckpoint(deps.fileSystem, path, {
    identity,
    journal: undefined,
    clean: true,
    nextLogId: 1,
    logs: [],
  })
  await writeIdentity(deps.fileSystem, path, identity)
  deps.logger.info({ path, ...identity }, 'made a new data folder')
  return identity
}

/** Sees to it that the name of the folder outlives a power failure, whoever made it and its parents. */
async function syncAncestors(fileSystem: FileSystem, path: string): Promise<void> {
  for (let at = resolve(path); dirname(at) !== at; at = dirname(at)) {
    try {
      await fileSystem.syncDirectory(dirname(at))
    } catch (error) {
      // A folder that may not be read was not made by this user either.
      const { code } = error as NodeJS.ErrnoException
      if (code !== 'EACCES' && code !== 'EPERM') throw error
    }
  }
}

/** What an earlier node has left in the folder; undefined if it was never used. */
async function contentOf(fileSystem: FileSystem, path: string): Promise<string | undefined> {
  for (const name of CONTENT) {
    if ((await fileSystem.list(`${path}/${name}`)).length > 0) return name
  }
  const read = await readCheckpoint(fileSystem, path)
  const isUnused =
    read.state === 'missing' ||
    (read.state === 'found' &&
      read.checkpoint.journal === undefined &&
      read.checkpoint.logs.length === 0)
  return isUnused ? undefined : 'a checkpoint'
}

function checkIdentity(identity: NodeIdentity, options: DataDirectoryOptions): void {
  const { path, clusterId, nodeId } = options
  if (identity.clusterId !== clusterId) {
    throw new DataDirectoryError(
      `${path} belongs to cluster ${identity.clusterId}, this node to ${clusterId}`,
    )
  }
  if (identity.nodeId !== nodeId) {
    throw new DataDirectoryError(
      `${path} belongs to node ${identity.nodeId}, this is node ${nodeId}`,
    )
  }
}

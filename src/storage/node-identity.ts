/** `node.json`: which cluster and node a data folder belongs to, with a checksum. */
import type { FileSystem } from '../env/file-system.ts'
import { crc32c } from '../lib/crc32c.ts'
import { readWhole } from './read-whole.ts'
import { writeWhole } from './write-whole.ts'

const FORMAT = 1

export interface NodeIdentity {
  readonly clusterId: string
  readonly nodeId: number
  /** Random, made with the folder: tells a replaced disk from the old one. */
  readonly directoryId: string
}

/** The folder cannot be used; the message says why and what to do. */
export class DataDirectoryError extends Error {
  override readonly name = 'DataDirectoryError'
}

export function identityPath(dataDirectory: string): string {
  return `${dataDirectory}/node.json`
}

/**
 * Undefined if there is none.
 * @throws DataDirectoryError when it is damaged or of a newer version
 */
export async function readIdentity(
  fileSystem: FileSystem,
  dataDirectory: string,
): Promise<NodeIdentity | undefined> {
  const path = identityPath(dataDirectory)
  const bytes = await readWhole(fileSystem, path)
  return bytes && decodeIdentity(bytes, path)
}

/** Writes the identity file; durable when it resolves. */
export async function writeIdentity(
  fileSystem: FileSystem,
  dataDirectory: string,
  identity: NodeIdentity,
): Promise<void> {
  const path = identityPath(dataDirectory)
  const file = await fileSystem.open(`${path}.new`, 'create')
  try {
    await file.truncate(0)
    await writeWhole(file, [Buffer.from(encodeIdentity(identity))], 0)
    await file.syncData()
  } finally {
    await file.close()
  }
  await fileSystem.rename(`${path}.new`, path)
  await fileSystem.syncDirectory(dataDirectory)
}

function encodeIdentity({ clusterId, nodeId, directoryId }: NodeIdentity): string {
  const fields = { format: FORMAT, clusterId, nodeId, directoryId }
  return `${JSON.stringify({ ...fields, checksum: checksumOf(fields) })}\n`
}

function checksumOf(fields: object): string {
  return crc32c(Buffer.from(JSON.stringify(fields)))
    .toString(16)
    .padStart(8, '0')
}

function decodeIdentity(bytes: Buffer, path: string): NodeIdentity {
  let parsed: Partial<NodeIdentity> & { format?: number; checksum?: string }
  try {
    parsed = JSON.parse(bytes.toString()) as typeof parsed
  } catch (error) {
    throw new DataDirectoryError(`${path} is damaged; \`curlew repair\` can restore it`, {
      cause: error,
    })
  }
  const { format, clusterId, nodeId, directoryId } = parsed
  if (typeof format === 'number' && format > FORMAT) {
    throw new DataDirectoryError(
      `${path} has format ${format}, this version knows ${FORMAT}: a newer Curlew wrote it`,
    )
  }
  if (
    clusterId === undefined ||
    nodeId === undefined ||
    directoryId === undefined ||
    parsed.checksum !== checksumOf({ format, clusterId, nodeId, directoryId }) ||
    encodeIdentity({ clusterId, nodeId, directoryId }) !== bytes.toString()
  ) {
    throw new DataDirectoryError(`${path} is damaged; \`curlew repair\` can restore it`)
  }
  return { clusterId, nodeId, directoryId }
}

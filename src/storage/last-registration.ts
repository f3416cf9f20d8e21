/**
 * `registered.json`: as which incarnation this data folder last took part in its cluster. A log that
 * is not here, of a partition that is younger, has never held anything.
 */
import type { FileSystem } from '../env/file-system.ts'
import { crc32c } from '../lib/crc32c.ts'
import { readWhole } from './read-whole.ts'
import { writeWhole } from './write-whole.ts'

const NAME = 'registered.json'
/** Always as long, so that nothing is left of what was there before. */
const SIZE_BYTES = 64

/** Undefined if there was none, or nobody can tell. */
export async function readLastRegistration(
  fileSystem: FileSystem,
  dataDirectory: string,
): Promise<number | undefined> {
  const path = `${dataDirectory}/${NAME}`
  const bytes = await readWhole(fileSystem, path)
  if (bytes === undefined) return undefined
  const incarnation = Number(/^\{"incarnation":(\d{1,16}),/.exec(bytes.toString())?.[1])
  return Number.isSafeInteger(incarnation) && bytes.toString() === encode(incarnation)
    ? incarnation
    : undefined
}

/** Whether the folder is that of a storage node of a cluster: its metadata are elsewhere. */
export async function isOfStorageNode(
  fileSystem: FileSystem,
  dataDirectory: string,
): Promise<boolean> {
  return (await fileSystem.size(`${dataDirectory}/${NAME}`)) !== undefined
}

/**
 * Durable when it resolves. Written in place, so that a full disk does not stand in the way; torn, it
 * says nothing, which is safe.
 */
export async function writeLastRegistration(
  fileSystem: FileSystem,
  dataDirectory: string,
  incarnation: number,
): Promise<void> {
  const path = `${dataDirectory}/${NAME}`
  const isNew = (await fileSystem.size(path)) === undefined
  const file = await fileSystem.open(path, 'create')
  try {
    await writeWhole(file, [Buffer.from(encode(incarnation))], 0)
    await file.syncData()
  } finally {
    await file.close()
  }
  if (isNew) await fileSystem.syncDirectory(dataDirectory)
}

function encode(incarnation: number): string {
  const checksum = crc32c(Buffer.from(String(incarnation))).toString(16)
  return `${`{"incarnation":${incarnation},"checksum":"${checksum}"}`.padEnd(SIZE_BYTES - 1)}\n`
}

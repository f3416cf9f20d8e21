/**
 * `registered.json`: as which incarnation this data folder last took part in its cluster. A log that
 * is not here, of a partition that is younger, has never held anything.
 */
import type { FileSystem } from '../env/file-system.ts'
import { crc32c } from '../lib/crc32c.ts'
import { writeWhole } from './write-whole.ts'

const NAME = 'registered.json'

/** Undefined if there was none, or nobody can tell. */
export async function readLastRegistration(
  fileSystem: FileSystem,
  dataDirectory: string,
): Promise<number | undefined> {
  const path = `${dataDirectory}/${NAME}`
  const size = await fileSystem.size(path)
  if (size === undefined) return undefined
  const bytes = Buffer.alloc(size)
  const file = await fileSystem.open(path, 'read')
  try {
    await file.readAt(bytes, 0)
  } finally {
    await file.close()
  }
  const incarnation = Number(/^\{"incarnation":(\d{1,16}),/.exec(bytes.toString())?.[1])
  return Number.isSafeInteger(incarnation) && bytes.toString() === encode(incarnation)
    ? incarnation
    : undefined
}

/** Durable when it resolves. */
export async function writeLastRegistration(
  fileSystem: FileSystem,
  dataDirectory: string,
  incarnation: number,
): Promise<void> {
  const path = `${dataDirectory}/${NAME}`
  const file = await fileSystem.open(`${path}.new`, 'create')
  try {
    await file.truncate(0)
    await writeWhole(file, [Buffer.from(encode(incarnation))], 0)
    await file.syncData()
  } finally {
    await file.close()
  }
  await fileSystem.rename(`${path}.new`, path)
  await fileSystem.syncDirectory(dataDirectory)
}

function encode(incarnation: number): string {
  const checksum = crc32c(Buffer.from(String(incarnation))).toString(16)
  return `{"incarnation":${incarnation},"checksum":"${checksum}"}\n`
}

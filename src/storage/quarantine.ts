/** Keeps what is taken out of service because it is damaged: copies in `<data>/quarantine`, never overwritten. */
import type { FileSystem } from '../env/file-system.ts'
import type { JournalDamage } from './log-recovery.ts'
import { writeWhole } from './write-whole.ts'

const CHUNK_BYTES = 1024 * 1024

export function quarantinePath(dataDirectory: string): string {
  return `${dataDirectory}/quarantine`
}

/** Copies a part of a file, durably; an existing copy of that name is kept. Resolves to its path. */
export async function quarantineBytes(
  fileSystem: FileSystem,
  dataDirectory: string,
  source: { path: string; start: number; end: number },
  name: string,
): Promise<string> {
  const directory = quarantinePath(dataDirectory)
  const target = `${directory}/${name}`
  await fileSystem.makeDirectory(directory)
  if ((await fileSystem.size(target)) !== undefined) return target
  const from = await fileSystem.open(source.path, 'read')
  const to = await fileSystem.open(`${target}.new`, 'create')
  try {
    await to.truncate(0)
    const chunk = new Uint8Array(CHUNK_BYTES)
    let at = source.start
    while (at < source.end) {
      const wanted = chunk.subarray(0, Math.min(chunk.length, source.end - at))
      const filled = await from.readAt(wanted, at)
      if (filled === 0) break
      await writeWhole(to, [wanted.subarray(0, filled)], at - source.start)
      at += filled
    }
    await to.syncData()
  } finally {
    await from.close()
    await to.close()
  }
  await fileSystem.rename(`${target}.new`, target)
  await fileSystem.syncDirectory(directory)
  return target
}

/** Moves the files of a log aside, as they are; resolves to where they are. */
export async function quarantineLog(
  fileSystem: FileSystem,
  dataDirectory: string,
  directory: string,
): Promise<string> {
  const root = quarantinePath(dataDirectory)
  await fileSystem.makeDirectory(root)
  const taken = await fileSystem.list(root)
  const name = directory.slice(directory.lastIndexOf('/') + 1)
  let target = name
  for (let n = 1; taken.includes(target); n++) target = `${name}-${n}`
  const path = `${root}/${target}`
  await fileSystem.makeDirectory(path)
  for (const file of await fileSystem.list(directory)) {
    await fileSystem.rename(`${directory}/${file}`, `${path}/${file}`)
  }
  for (const changed of [path, directory, root]) await fileSystem.syncDirectory(changed)
  return path
}

/** The journal's files are reused: what could not be read of them is kept aside. */
export async function quarantineJournal(
  fileSystem: FileSystem,
  dataDirectory: string,
  { from, to }: JournalDamage,
): Promise<void> {
  const path = `${dataDirectory}/journal/${from.slot}`
  const size = await fileSystem.size(path)
  if (size === undefined) return
  const end = to?.slot === from.slot ? to.offsetBytes : size
  const name = `journal-${from.epoch}-${from.slot}-${from.offsetBytes}`
  await quarantineBytes(fileSystem, dataDirectory, { path, start: from.offsetBytes, end }, name)
}

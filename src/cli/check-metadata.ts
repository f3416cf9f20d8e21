/** Whether the metadata of a stopped node can be read. */
import type { Clock } from '../env/clock.ts'
import { EmbeddedStore } from '../metadata/embedded-store.ts'
import { DamagedStoreError } from '../metadata/metadata-store.ts'
import { metadataCopyPath } from '../nodes/metadata-copy.ts'
import { isOfStorageNode } from '../storage/last-registration.ts'
import type { OfflineDeps } from './offline-deps.ts'

const WAY_OUT =
  '  restore the file from a backup, or make it again with --rebuild-metadata; the records of its topics are untouched in the logs'

/** Resolves to false, and says what to do, if they are damaged. */
export async function checkMetadata(
  { fileSystem, clock, write }: OfflineDeps & { readonly clock: Clock },
  dataDirectory: string,
  mustExist = false,
): Promise<boolean> {
  // Whatever lies there then is not what the node goes by.
  if (await isOfStorageNode(fileSystem, dataDirectory)) return true
  const path = `${dataDirectory}/metadata.db`
  if ((await fileSystem.size(path)) === undefined) {
    // A node that has run has made a copy of them.
    const isCopied = (await fileSystem.size(metadataCopyPath(dataDirectory))) !== undefined
    if (!isCopied && !mustExist) return true
    write(`metadata: ${path} is missing`)
    write(WAY_OUT)
    return false
  }
  try {
    const onFatal = (error: unknown) => {
      throw error
    }
    await EmbeddedStore.open({ clock, onFatal }, { path, createIfMissing: false }).close()
    return true
  } catch (error) {
    if (!(error instanceof DamagedStoreError)) throw error
    write(`metadata: ${error.message}`)
    write(WAY_OUT)
    return false
  }
}

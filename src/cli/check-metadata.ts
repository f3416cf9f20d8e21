/** Whether the metadata of a stopped node can be read: `curlew repair` tells, but cannot mend them. */
import type { Clock } from '../env/clock.ts'
import { EmbeddedStore } from '../metadata/embedded-store.ts'
import { DamagedStoreError } from '../metadata/metadata-store.ts'
import type { OfflineDeps } from './offline-deps.ts'

/** Resolves to false, and says what to do, if they are damaged. */
export async function checkMetadata(
  { fileSystem, clock, write }: OfflineDeps & { readonly clock: Clock },
  dataDirectory: string,
): Promise<boolean> {
  const path = `${dataDirectory}/metadata.db`
  if ((await fileSystem.size(path)) === undefined) return true
  try {
    const onFatal = (error: unknown) => {
      throw error
    }
    await EmbeddedStore.open({ clock, onFatal }, { path, createIfMissing: false }).close()
    return true
  } catch (error) {
    if (!(error instanceof DamagedStoreError)) throw error
    write(`metadata: ${error.message}`)
    write('  restore the file from a backup; the records of its topics are untouched in the logs')
    return false
  }
}

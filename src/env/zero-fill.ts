/**
 * Fills a file with synced zeros ahead of its use: a write into blocks that exist needs no
 * allocation, so its sync costs half. Runs in the thread pool, in steps small enough that the
 * syncs of others do not queue behind it.
 */
import type { FileHandle, WhenToGoOn } from './file-system.ts'

const STEP_BYTES = 1024 * 1024

/**
 * Grows the file to `sizeBytes`, waiting for `goOn` between two steps; on failure gives back what it took
 * and rejects with the error.
 */
export async function zeroFill(
  handle: FileHandle,
  sizeBytes: number,
  goOn?: WhenToGoOn,
): Promise<void> {
  const startBytes = await handle.sizeBytes()
  if (startBytes >= sizeBytes) return
  const zeros = new Uint8Array(Math.min(STEP_BYTES, sizeBytes - startBytes))
  let at = startBytes
  try {
    while (at < sizeBytes) {
      const step = Math.min(zeros.length, sizeBytes - at)
      at += await handle.writeAt([zeros.subarray(0, step)], at)
      // Little at a time: the journal's own writes queue behind it.
      await handle.syncData()
      await goOn?.(at)
    }
  } catch (error) {
    await handle.truncate(startBytes).catch(() => undefined)
    throw error
  }
}

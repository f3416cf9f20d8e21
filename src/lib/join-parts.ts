/** Copies runs of small parts together, as each part on its own costs a write; large ones stay as they are. */

const LARGE_BYTES = 32 * 1024
const JOINED_BYTES = 128 * 1024

export function joinParts(parts: readonly Uint8Array[]): Uint8Array[] {
  const joined: Uint8Array[] = []
  let run: Uint8Array[] = []
  let runBytes = 0
  const flush = () => {
    if (run.length === 1) joined.push(run[0] as Uint8Array)
    else if (run.length > 1) joined.push(Buffer.concat(run, runBytes))
    run = []
    runBytes = 0
  }
  for (const part of parts) {
    const isLarge = part.length >= LARGE_BYTES
    if (isLarge || runBytes + part.length > JOINED_BYTES) flush()
    if (isLarge) joined.push(part)
    else if (part.length > 0) {
      run.push(part)
      runBytes += part.length
    }
  }
  flush()
  return joined
}

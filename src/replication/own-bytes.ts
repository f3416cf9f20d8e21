/** A batch that stays in memory for long must not keep a larger buffer alive. */
const SLACK_BYTES = 4096

/** `keptBytes`: of all batches in its buffer that stay as long as it does. */
export function ownBytes(batch: Uint8Array, keptBytes: number = batch.length): Uint8Array {
  return batch.buffer.byteLength > keptBytes * 2 + SLACK_BYTES ? new Uint8Array(batch) : batch
}

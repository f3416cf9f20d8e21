/** A batch that stays in memory for long must not keep a larger buffer alive. */
const SLACK_BYTES = 4096

export function ownBytes(batch: Uint8Array): Uint8Array {
  return batch.buffer.byteLength > batch.length * 2 + SLACK_BYTES ? Uint8Array.from(batch) : batch
}

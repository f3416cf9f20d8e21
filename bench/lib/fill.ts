/** Puts records into a topic's log, for reads to find. */
import type { Curlew } from './curlew.ts'
import { ndjsonBatch } from './payload.ts'

/** Batches of a size that pages of 64 records are made of. */
const BATCH_RECORDS = 16

export async function fill(
  server: Pick<Curlew, 'url'>,
  topic: string,
  records: number,
): Promise<void> {
  const body = ndjsonBatch(BATCH_RECORDS)
  for (let written = 0; written < records; written += BATCH_RECORDS) {
    const response = await fetch(server.url(`/v1/topics/${topic}/records`), {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body,
    })
    if (response.status !== 200)
      throw new Error(`fill: ${response.status} ${await response.text()}`)
    await response.body?.cancel()
  }
}

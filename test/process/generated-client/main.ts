/**
 * A program as a user of the generated client writes it. The test generates `api.d.ts` beside a
 * copy of it, checks the types, runs it against a server and reads what it prints.
 */
import createClient from 'openapi-fetch'
import type { paths } from './api.d.ts'

/** Some operations also answer NDJSON; this program asks for JSON. */
type Json = 'application/json' | 'application/problem+json'

const client = createClient<paths, Json>({ baseUrl: process.argv[2] ?? '' })
const topic = 'from-a-generated-client'

async function main(): Promise<void> {
  const made = await client.PUT('/v1/topics/{topic}', {
    params: { path: { topic } },
    body: { partitions: 2, retentionMs: 3_600_000 },
  })
  if (made.error) throw new Error(`${made.error.code}: ${made.error.detail}`)

  const start = await client.GET('/v1/topics/{topic}/records', {
    params: { path: { topic }, query: { from: 'latest' } },
  })
  if (start.error) throw new Error(start.error.detail)

  const waiting = client.GET('/v1/topics/{topic}/records', {
    params: { path: { topic }, query: { cursor: start.data.cursor, wait: 30 } },
  })
  const produced = await client.POST('/v1/topics/{topic}/records', {
    params: { path: { topic } },
    body: { records: [{ key: 'k', value: { total: 12 }, headers: { source: 'client' } }] },
  })
  if (produced.error) throw new Error(produced.error.detail)

  const read = await waiting
  if (read.error) throw new Error(read.error.detail)

  const consumed = await consume()
  const refused = await client.GET('/v1/topics/{topic}', { params: { path: { topic: 'missing' } } })
  const removed = await client.DELETE('/v1/topics/{topic}', { params: { path: { topic } } })

  process.stdout.write(
    JSON.stringify({
      made: made.response.status,
      produced: produced.data?.records.length,
      read: read.data.records.map(({ key, value }) => ({ key, value })),
      ...consumed,
      refused: refused.error?.code,
      removed: removed.response.status,
    }),
  )
}

/** Joins a group, polls, commits, leaves. */
async function consume(): Promise<object> {
  const group = 'of-a-generated-client'
  const member = 'generated'
  const joined = await client.POST('/v1/groups/{group}/members', {
    params: { path: { group } },
    body: { memberId: member, topics: [topic] },
  })
  if (joined.error) throw new Error(joined.error.detail)
  const { memberEpoch } = joined.data
  const polled = await client.POST('/v1/groups/{group}/members/{member}/poll', {
    params: { path: { group, member } },
    body: { memberEpoch, wait: 30 },
  })
  if (polled.error) throw new Error(polled.error.detail)
  const { cursor, records } = polled.data
  const committed = await client.POST('/v1/groups/{group}/offsets', {
    params: { path: { group } },
    body: { cursor },
  })
  if (committed.error) throw new Error(committed.error.detail)
  const left = await client.DELETE('/v1/groups/{group}/members/{member}', {
    params: { path: { group, member } },
  })
  const offsets = committed.data.offsets.map(({ offset = 0 }) => offset)
  return {
    joined: joined.response.status,
    polled: records.map(({ value }) => value),
    committed: offsets.reduce((sum, offset) => sum + offset, 0),
    left: left.response.status,
  }
}

await main()

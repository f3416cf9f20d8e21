/** A member of a group, and what it commits. */
import type { Curlew } from './curlew.ts'

const SESSION_MS = 600_000

export async function join(
  curlew: Pick<Curlew, 'url'>,
  group: string,
  topic: string,
  sessionTimeoutMs: number = SESSION_MS,
): Promise<{ memberEpoch: number }> {
  const response = await fetch(curlew.url(`/v1/groups/${group}/members`), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ memberId: 'member', topics: [topic], sessionTimeoutMs }),
  })
  if (response.status !== 201) throw new Error(`join: ${response.status} ${await response.text()}`)
  return (await response.json()) as { memberEpoch: number }
}

/** What a member says that commits the first page of a topic. */
export async function commitBody(
  curlew: Pick<Curlew, 'url'>,
  group: string,
  topic: string,
): Promise<string> {
  const { memberEpoch } = await join(curlew, group, topic)
  const page = `/v1/groups/${group}/members/member/records?memberEpoch=${memberEpoch}`
  const { cursor } = (await (await fetch(curlew.url(page))).json()) as { cursor: string }
  return JSON.stringify({ cursor })
}

/** A group of the server under test, with members that keep what they were told. */
import { randomUUID } from 'node:crypto'
import { expect } from 'vitest'
import type { EventStream } from '../support/event-stream.ts'
import { eventually } from '../support/eventually.ts'
import type { Answer } from '../support/http-client.ts'
import type { Api } from './api.ts'
import type { GroupPage, MemberTold, OffsetReceipts, TopicPartitions } from './shapes.ts'

/** Of everything that one request of a member may say. */
export type Json = Readonly<Record<string, unknown>>

export class GroupApi {
  readonly api: Api
  readonly name: string

  constructor(api: Api, label: string) {
    this.api = api
    this.name = api.freshGroup(label)
  }

  call(method: 'GET' | 'DELETE', path = ''): Promise<Answer> {
    return this.api.call(method, `/v1/groups/${this.name}${path}`)
  }

  send(method: 'POST' | 'PUT' | 'PATCH', path: string, body: Json): Promise<Answer> {
    return this.api.callJson(method, `/v1/groups/${this.name}${path}`, body)
  }

  stream(path: string, lastEventId = ''): Promise<EventStream> {
    const headers = lastEventId === '' ? {} : { 'last-event-id': lastEventId }
    return this.api.stream(`/v1/groups/${this.name}${path}`, { headers })
  }

  /** Joins, or joins again. */
  async join(topics: readonly string[], more: Json = {}): Promise<Member> {
    const member = new Member(this, String(more['memberId'] ?? randomUUID()))
    const body = { memberId: member.id, topics, ...more }
    const answer = await this.send('POST', '/members', body)
    expect([200, 201], answer.text).toContain(answer.status)
    member.hear(answer.json<MemberTold>())
    return member
  }

  /** Committed offsets, by `topic/partition`. */
  async offsets(): Promise<Record<string, number>> {
    const answer = await this.call('GET', '/offsets')
    expect(answer.status, answer.text).toBe(200)
    const { offsets } = answer.json<{
      offsets: { topic: string; partition: number; offset: number }[]
    }>()
    return Object.fromEntries(
      offsets.map(({ topic, partition, offset }) => [`${topic}/${partition}`, offset]),
    )
  }

  async commit(body: Json): Promise<OffsetReceipts> {
    const answer = await this.send('POST', '/offsets', body)
    expect(answer.status, answer.text).toBe(200)
    return answer.json<OffsetReceipts>()
  }

  /** Lets the members poll until each partition has its owner and nothing is to move any more. */
  async settle(members: readonly Member[], partitions: number): Promise<void> {
    await becomes('the group is settled', async () => {
      for (const member of members) await member.heartbeat({ owned: member.told.assigned })
      const owned = members.flatMap((member) => member.owned)
      const isMoving = members.some(({ told }) => told.revoking.length > 0)
      return !isMoving && owned.length === partitions && new Set(owned).size === partitions
    })
  }
}

export class Member {
  readonly id: string
  told: MemberTold = { memberId: '', memberEpoch: 0, assigned: [], revoking: [] }
  cursor: string | undefined
  readonly #group: GroupApi

  constructor(group: GroupApi, id: string) {
    this.#group = group
    this.id = id
  }

  get path(): string {
    return `/members/${this.id}`
  }

  /** What it reads, as `topic/partition`. */
  get owned(): string[] {
    return namesOf(this.told.assigned)
  }

  hear(told: MemberTold): void {
    this.told = told
  }

  async heartbeat(more: Json = {}): Promise<void> {
    const { memberEpoch } = this.told
    const answer = await this.#group.send('POST', `${this.path}/heartbeat`, {
      memberEpoch,
      ...more,
    })
    expect(answer.status, answer.text).toBe(200)
    this.hear(answer.json<MemberTold>())
  }

  /** A page from where the member stands; it stays there. */
  async read(query = ''): Promise<GroupPage> {
    const cursor = this.cursor === undefined ? '' : `&cursor=${this.cursor}`
    const path = `${this.path}/records?memberEpoch=${this.told.memberEpoch}${cursor}${query}`
    const answer = await this.#group.call('GET', path)
    expect(answer.status, answer.text).toBe(200)
    return answer.json<GroupPage>()
  }

  /** Commits what the poll before has brought, and moves on. */
  async poll(more: Json = {}): Promise<GroupPage> {
    const { memberEpoch } = this.told
    const place = this.cursor === undefined ? {} : { cursor: this.cursor, commit: this.cursor }
    const body = { memberEpoch, ...place, ...more }
    const answer = await this.#group.send('POST', `${this.path}/poll`, body)
    expect(answer.status, answer.text).toBe(200)
    const page = answer.json<GroupPage>()
    this.hear(page)
    this.cursor = page.cursor
    return page
  }

  /** Polls until nothing more comes; the values, all committed. */
  async drain(more: Json = {}): Promise<unknown[]> {
    const values: unknown[] = []
    for (;;) {
      const { records } = await this.poll(more)
      if (records.length === 0) return values
      values.push(...records.map(({ value }) => value))
    }
  }

  async leave(query = ''): Promise<void> {
    const answer = await this.#group.call('DELETE', `${this.path}${query}`)
    expect(answer.status, answer.text).toBe(204)
  }
}

export function namesOf(assigned: readonly TopicPartitions[]): string[] {
  return assigned.flatMap(({ topic, partitions }) =>
    partitions.map((partition) => `${topic}/${partition}`),
  )
}

/** Numbers from 0, as records are made of. */
export const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

export const inOrder = (values: readonly unknown[]): number[] =>
  values.map(Number).toSorted((a, b) => a - b)

/** Waits until the condition holds. */
export async function becomes(what: string, condition: () => Promise<boolean>): Promise<void> {
  await eventually(what, async () => ((await condition()) ? true : undefined))
}

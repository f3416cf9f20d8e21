/** The routes of groups over groups and records in memory. */
import { expect } from 'vitest'
import { encodeBatch } from '../../src/core/record-batch.ts'
import { textRecord, topicImage } from '../front/topics.ts'
import { frontApp } from './front-app.ts'

export const orders = topicImage('orders', 4)
export const bills = topicImage('bills', 2, {}, 9)

export interface Told {
  readonly memberId: string
  readonly memberEpoch: number
  readonly assigned: { topic: string; partitions: number[] }[]
  readonly revoking: { topic: string; partitions: number[] }[]
}
export interface Page extends Told {
  readonly records: { topic: string; partition: number; offset: number; value: string }[]
  readonly cursor: string
  readonly uncommitted?: { topic: string; partition: number; error: { code: string } }[]
}

export function setUp() {
  const parts = frontApp([orders, bills])
  const { app, storage } = parts
  const put = (topic: typeof orders, partition: number, ...values: string[]) => {
    const records = values.map((value) => textRecord(value, { timestampMs: 0 }))
    storage.appendBatch(topic.id, partition, encodeBatch(records))
  }
  const call = async (
    method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    path: string,
    body?: object,
  ) =>
    await app.inject({
      method,
      url: `/v1/groups${path}`,
      headers: { host: 'localhost' },
      ...(body && { payload: body }),
    })
  const join = async (member: string, more: object = { topics: ['orders'] }) => {
    const answer = await call('POST', '/g/members', { memberId: member, ...more })
    expect([200, 201]).toContain(answer.statusCode)
    return answer.json<Told>()
  }
  const read = async (member: string, query: string) => {
    const answer = await call('GET', `/g/members/${member}/records?${query}`)
    expect(answer.statusCode, answer.body).toBe(200)
    return answer.json<Page>()
  }
  const poll = async (member: string, body: object) => {
    const answer = await call('POST', `/g/members/${member}/poll`, body)
    expect(answer.statusCode, answer.body).toBe(200)
    return answer.json<Page>()
  }
  return { ...parts, put, call, join, read, poll, [Symbol.asyncDispose]: () => app.close() }
}

/** In order: between partitions there is none. */
export const values = ({ records }: Page): string[] => sorted(records.map(({ value }) => value))

export const sorted = (texts: readonly string[]): string[] =>
  texts.toSorted((a, b) => (a < b ? -1 : 1))

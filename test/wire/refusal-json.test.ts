/** Refusals between nodes: what is read could be written again. */
import { expect, test } from 'vitest'
import { parseRefusal, refusalJson } from '../../src/wire/refusal-json.ts'

const REFUSAL = { code: 'disk-full', detail: 'no room', committed: 'no' } as const

test('a refusal is read as it was written', () => {
  const refusal = { ...REFUSAL, members: { tail: 7, why: 'x' }, retryAfterMs: 1_000 }
  expect(parseRefusal(refusalJson(refusal))).toEqual(refusal)
})

test.each([
  ['a member', '{"code":"disk-full","detail":"","committed":"no","members":{"tail":1e999}}'],
  ['the pause', '{"code":"disk-full","detail":"","committed":"no","retryAfterMs":1e999}'],
])('a number that is too large for %s makes it none', (_what, text) => {
  expect(parseRefusal(Buffer.from(text))).toBeUndefined()
})

import { describe, expect, it } from 'vitest'
import { parsePosition } from '../../src/wire/position.ts'

describe('parsePosition', () => {
  it.each([
    ['earliest', 'earliest'],
    ['latest', 'latest'],
    ['offset:0', { offset: 0 }],
    ['offset:9007199254740991', { offset: Number.MAX_SAFE_INTEGER }],
    ['last:25', { last: 25 }],
    ['time:2026-11-22T10:00:00.5Z', { timeMs: Date.UTC(2026, 10, 22, 10, 0, 0, 500) }],
  ])('reads %s', (text, expected) => {
    expect(parsePosition(text)).toEqual(expected)
  })

  it.each([
    '',
    ':',
    'Earliest',
    'earliest ',
    'offset',
    'offset:',
    'offset:-1',
    'offset:+1',
    'offset:01',
    'offset:1.0',
    'offset:1e3',
    'offset:9007199254740992',
    'last:x',
    'time:now',
    'time:2026-11-22',
    'first:1',
    'offset:1:2',
  ])('refuses %j', (text) => {
    expect(parsePosition(text)).toBeUndefined()
  })
})

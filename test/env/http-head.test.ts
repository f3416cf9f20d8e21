import { expect, test } from 'vitest'
import { HeaderReader } from '../../src/env/http-head.ts'

test('reads each head by itself, whatever the one before had', () => {
  const reader = new HeaderReader()
  const read = (text: string) => {
    const headers = reader.read(text === '' ? [] : text.split('|'))
    return headers && { ...headers }
  }
  expect(read('Host: a|x:1|Y: \t2 ')).toEqual({ host: 'a', x: '1', y: '2' })
  expect(read('Host: a|x:1|y: 3')).toEqual({ host: 'a', x: '1', y: '3' })
  expect(read('x:1|Host: a')).toEqual({ x: '1', host: 'a' })
  expect(read('Host: a|x:1|X: 1')).toBeUndefined()
  expect(read('x:1|x:1')).toBeUndefined()
  expect(read('x:1|no header')).toBeUndefined()
  expect(read('')).toEqual({})
  expect(read('x:1|__proto__: y')).toEqual(
    Object.fromEntries([
      ['x', '1'],
      ['__proto__', 'y'],
    ]),
  )
})

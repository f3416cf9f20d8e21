import { expect, test } from 'vitest'
import { whyOf } from '../../src/lib/why.ts'

test('names the causes, each once', () => {
  const refused = new Error('connect ECONNREFUSED')
  const call = new Error('n2: connect ECONNREFUSED', { cause: refused })
  expect(whyOf(call)).toBe('n2: connect ECONNREFUSED')
  expect(whyOf(new Error('the node did not answer', { cause: call }))).toBe(
    'the node did not answer: n2: connect ECONNREFUSED',
  )
})

test('takes what is no error as it is, and no end of causes', () => {
  expect(whyOf('gone')).toBe('gone')
  const loop = new Error('a')
  loop.cause = new Error('b', { cause: new Error('c', { cause: new Error('d') }) })
  expect(whyOf(loop)).toBe('a: b: c')
})

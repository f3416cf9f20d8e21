import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Hmac } from '../../src/internal/hmac.ts'

const texts = fc
  .tuple(fc.string({ unit: 'binary' }), fc.constantFrom(1, 40, 400))
  .map(([text, times]) => text.repeat(times))

test('is the HMAC-SHA256 that everybody knows, with keys of any length', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 200 }), texts, (secret, text) => {
      const hmac = new Hmac(secret)
      const expected = createHmac('sha256', secret).update(text).digest('hex')
      expect(hmac.of(text).toString('hex')).toBe(expected)
      expect(hmac.of(text).toString('hex')).toBe(expected)
    }),
  )
})

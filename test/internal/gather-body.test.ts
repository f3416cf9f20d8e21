import fc from 'fast-check'
import { expect, test } from 'vitest'
import { gatherBody } from '../../src/internal/gather-body.ts'
import { InternalRefusal } from '../../src/internal/internal-refusal.ts'

const LIMIT = 100_000

test('gathers chunks of any size, whether or not the length was announced', async () => {
  const chunks = fc.array(fc.uint8Array({ maxLength: 9000 }), { maxLength: 8 })
  await fc.assert(
    fc.asyncProperty(chunks, fc.boolean(), async (all, isAnnounced) => {
      const whole = Buffer.concat(all)
      let reserved = 0
      const body = await gatherBody(all, {
        expectedBytes: isAnnounced ? whole.length : undefined,
        limitBytes: LIMIT,
        reserve: (bytes) => {
          reserved += bytes
        },
      })
      expect(whole.equals(body)).toBe(true)
      const isHeld = whole.length === 0 || reserved >= body.buffer.byteLength || all.length === 1
      expect(isHeld).toBe(true)
      if (isAnnounced) expect(reserved).toBe(whole.length)
    }),
  )
})

test('a body in one piece is not copied', async () => {
  const chunk = Buffer.from('whole')
  expect(await gatherBody([chunk], { expectedBytes: 5, limitBytes: LIMIT })).toBe(chunk)
})

test('too large a body is refused before it is held', async () => {
  const reserve = () => expect.unreachable()
  const announced = gatherBody([], { expectedBytes: LIMIT + 1, limitBytes: LIMIT, reserve })
  await expect(announced).rejects.toMatchObject({ code: 'call-too-large' })
  const chunk = Buffer.alloc(LIMIT + 1)
  const found = gatherBody([chunk], { expectedBytes: undefined, limitBytes: LIMIT, reserve })
  await expect(found).rejects.toMatchObject({ code: 'call-too-large' })
})

test('a body of another length than announced is refused', async () => {
  for (const expectedBytes of [3, 5]) {
    const body = gatherBody([Buffer.from('ab'), Buffer.from('cd')], {
      expectedBytes,
      limitBytes: 9,
    })
    await expect(body).rejects.toBeInstanceOf(InternalRefusal)
  }
})

test('what cannot be reserved is not gathered', async () => {
  const full = new Error('full')
  const reserve = () => {
    throw full
  }
  const options = { expectedBytes: 2, limitBytes: LIMIT, reserve }
  await expect(gatherBody([Buffer.from('ab')], options)).rejects.toBe(full)
})

import { expect, test } from 'vitest'
import { BufferPool } from '../../src/storage/buffer-pool.ts'

const never = new AbortController().signal

function setUp() {
  const pool = new BufferPool(1, 16)
  const held = Promise.withResolvers<void>()
  const first = pool.use(never, () => held.promise)
  return { pool, held, first }
}

test('a buffer goes to those who wait in order of arrival, past those who gave up', async () => {
  const { pool, held, first } = setUp()
  const order: number[] = []
  const gone = new AbortController()
  const wait = (id: number, signal: AbortSignal) =>
    pool.use(signal, async ({ length }) => order.push(id * length))
  const others = [wait(1, never), wait(2, gone.signal), wait(3, never)]
  gone.abort(new Error('gone'))
  await expect(others[1]).rejects.toThrow('gone')
  held.resolve()
  await Promise.all([first, others[0], others[2]])
  expect([order, pool.waiting]).toEqual([[16, 48], 0])
})

test('once it is closed nobody gets a buffer, also those who waited; who has one keeps it', async () => {
  const { pool, held, first } = setUp()
  const waiting = pool.use(never, async () => undefined)
  pool.close()
  await expect(waiting).rejects.toMatchObject({ code: 'draining' })
  held.resolve()
  await first
  const late = pool.use(never, async () => undefined)
  await expect(late).rejects.toMatchObject({ code: 'draining' })
})

/** The body of a call that comes piece by piece, over a socket that nobody is at the other end of. */
import { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { CallBody } from '../../src/http/internal/call-body.ts'

const PIECE = Buffer.alloc(128 * 1024)

function start(pieces: number) {
  const socket = new Socket()
  return { socket, body: new CallBody(socket, pieces * PIECE.length) }
}

test('holds the connection back while nobody takes what came', async () => {
  const { socket, body } = start(3)
  const taken = body[Symbol.asyncIterator]()
  body.push(PIECE)
  expect(socket.isPaused()).toBe(false)
  body.push(PIECE)
  expect(socket.isPaused()).toBe(true)
  await taken.next()
  expect(socket.isPaused()).toBe(true)
  await taken.next()
  expect(socket.isPaused()).toBe(false)
  body.push(PIECE)
  expect((await taken.next()).done).toBe(false)
  expect((await taken.next()).done).toBe(true)
})

test('lets the rest come where it is left, and holds none of it', async () => {
  const { socket, body } = start(4)
  for (let i = 0; i < 3; i++) body.push(PIECE)
  body.leave()
  expect(socket.isPaused()).toBe(false)
  body.push(PIECE)
  expect(body.isWhole).toBe(true)
  expect((await body[Symbol.asyncIterator]().next()).done).toBe(true)
})

test('takes no more than was announced', () => {
  const { body } = start(1)
  expect(body.push(PIECE.subarray(1)).length).toBe(0)
  expect([...body.push(Buffer.of(1, 2, 3))]).toEqual([2, 3])
  expect([...body.push(Buffer.of(4))]).toEqual([4])
})

test('fails for whoever waits when the connection breaks', async () => {
  const { body } = start(2)
  const taken = body[Symbol.asyncIterator]()
  body.push(PIECE)
  await taken.next()
  const more = taken.next()
  body.break()
  await expect(more).rejects.toThrow('broke')
})

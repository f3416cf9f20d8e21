import { describe, expect, test } from 'vitest'
import { ResultStream } from '../../src/internal/result-stream.ts'

function streamOf(count: number) {
  const results = Array.from({ length: count }, () => Promise.withResolvers<string>())
  const stream = new ResultStream(
    results.map(({ promise }) => promise),
    ({ index, result }) => Buffer.from(`${index}${result};`),
  )
  return { stream, settle: results.map(({ resolve }) => resolve) }
}

describe('a stream of results', () => {
  test('is a whole reply when all are there', async () => {
    const { stream, settle } = streamOf(2)
    settle[1]?.('b')
    settle[0]?.('a')
    await stream.last
    const { reply } = stream
    if (!('parts' in reply)) throw new Error('the reply is not whole')
    expect(String(Buffer.concat(reply.parts))).toBe('1b;0a;')
  })

  test('streams what is there, and the rest as it comes', async () => {
    const { stream, settle } = streamOf(3)
    settle[2]?.('c')
    await stream.first
    const { reply } = stream
    if (!('stream' in reply)) throw new Error('the reply is whole')
    const pieces: string[] = []
    for await (const piece of reply.stream) {
      pieces.push(String(piece))
      settle[0]?.('a')
      settle[1]?.('b')
    }
    expect(pieces).toEqual(['2c;', '0a;1b;'])
  })

  test('need not be waited for, and comes all the same', async () => {
    const { stream, settle } = streamOf(1)
    stream.hurry()
    await stream.first
    const { reply } = stream
    if (!('stream' in reply)) throw new Error('the reply is whole')
    settle[0]?.('a')
    const pieces: string[] = []
    for await (const piece of reply.stream) pieces.push(String(piece))
    expect(pieces).toEqual(['0a;'])
  })

  test('of none is whole at once', async () => {
    const { stream } = streamOf(0)
    await stream.first
    expect(stream.reply).toEqual({ parts: [] })
  })
})

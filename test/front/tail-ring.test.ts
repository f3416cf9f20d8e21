import { describe, expect, it } from 'vitest'
import { ReadPositions } from '../../src/front/read-positions.ts'
import { TailRing } from '../../src/front/tail-ring.ts'
import { streamChunk } from '../../src/wire/stream-chunk.ts'
import { topicImage } from './topics.ts'

const after = new ReadPositions(topicImage('one', 1), [0], [0], [-1])
const segment = (bytes: number) => ({ chunk: streamChunk([new Uint8Array(bytes)]), after })

describe('TailRing', () => {
  it('drops the oldest segments beyond its bytes, and keeps the numbers', () => {
    const ring = new TailRing(1000)
    for (let i = 0; i < 10; i++) ring.push(segment(200))
    expect(ring.end).toBe(10)
    expect(ring.bytes).toBeLessThanOrEqual(1000)
    expect(ring.at(ring.first)).toBeDefined()
    expect(ring.at(ring.first - 1)).toBeUndefined()
    expect(ring.at(10)).toBeUndefined()
    expect(ring.end - ring.first).toBe(4)
  })

  it('keeps the newest one, however large', () => {
    const ring = new TailRing(1000)
    ring.push(segment(10))
    ring.push(segment(5000))
    expect([ring.first, ring.end, ring.at(1)?.chunk.payload.length]).toEqual([1, 2, 5000])
  })

  it('gives what waits as one piece, the same to everybody, until there is more', () => {
    const ring = new TailRing(1000)
    ring.push(segment(100))
    ring.push(segment(100))
    const piece = ring.piece(0)
    expect(piece).toMatchObject({ next: 2, chunks: [ring.at(0)!.chunk, ring.at(1)!.chunk] })
    expect(ring.piece(0)).toBe(piece)
    expect(ring.piece(1)).toMatchObject({ next: 2, chunks: [ring.at(1)!.chunk] })
    expect(ring.piece(2)).toBeUndefined()
    ring.push(segment(100))
    expect(ring.piece(0)?.next).toBe(3)
    expect(ring.piece(2)?.next).toBe(3)
    for (let i = 0; i < 10; i++) ring.push(segment(200))
    expect(ring.piece(2)).toBeUndefined()
  })

  it('bounds a piece, but for one large segment', () => {
    const ring = new TailRing(10_000_000)
    for (let i = 0; i < 4; i++) ring.push(segment(100_000))
    expect(ring.piece(0)?.next).toBe(3)
    ring.push(segment(1_000_000))
    expect(ring.piece(4)?.next).toBe(5)
  })
})

describe('streamChunk', () => {
  it('frames its parts as one chunk of HTTP/1.1', () => {
    const { framed, payload } = streamChunk([Buffer.from('hello '), Buffer.from('world')])
    expect(framed.toString()).toBe('b\r\nhello world\r\n')
    expect(payload.toString()).toBe('hello world')
    expect(payload.buffer).toBe(framed.buffer)
  })
})

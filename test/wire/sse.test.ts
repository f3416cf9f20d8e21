import { describe, expect, it } from 'vitest'
import { commentFrame, controlFrame, retryFrame } from '../../src/wire/sse.ts'
import { parseEventStream } from './event-stream.ts'

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString()

describe('frames besides records', () => {
  it('have a fixed form', () => {
    expect(text(commentFrame())).toBe(': \n\n')
    expect(text(commentFrame('hello'))).toBe(': hello\n\n')
    expect(text(retryFrame(2345))).toBe('retry: 2345\n\n')
    expect(text(controlFrame('end', { reason: 'renew' }))).toBe(
      'event: end\ndata: {"reason":"renew"}\n\n',
    )
    expect(text(controlFrame('gap', { from: 3, to: 8 }, 'AQE'))).toBe(
      'id: AQE\nevent: gap\ndata: {"from":3,"to":8}\n\n',
    )
  })

  it('keep what they say within one event', () => {
    const detail = 'a\r\n\r\nid: x\n\ndata: y\u2028é'
    const events = parseEventStream(controlFrame('error', { detail }))
    expect(events.map(({ id, type }) => [id, type])).toEqual([['', 'error']])
    expect(JSON.parse(events[0]!.data)).toEqual({ detail })
  })

  it('refuse line breaks where they would break a frame, and delays that are none', () => {
    expect(() => commentFrame('a\nb')).toThrow('line break')
    expect(() => controlFrame('end', {}, 'a\rb')).toThrow('line break')
    expect(() => retryFrame(1.5)).toThrow('whole number')
  })
})

/** The parser of event streams that the other tests trust. */
import { describe, expect, it } from 'vitest'
import { SseParser } from '../support/sse-parser.ts'

const parse = (text: string, step = text.length): SseParser => {
  const parser = new SseParser()
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += step) parser.push(bytes.subarray(at, at + step))
  return parser
}

describe('event stream parser', () => {
  it.each([1, 2, 3, 1_000])('reads frames of all line ends, cut every %i bytes', (step) => {
    const parser = parse(
      ': hi\r\nretry: 5\r\rid: 1\ndata: a\r\ndata:b\r\n\r\nevent: gap\rdata: ü\n\n',
      step,
    )
    expect(parser.comments).toEqual(['hi'])
    expect(parser.retryMs).toBe(5)
    expect(parser.events).toEqual([
      { id: '1', event: 'message', data: 'a\nb', fields: ['id', 'data', 'data'] },
      { id: '1', event: 'gap', data: 'ü', fields: ['event', 'data'] },
    ])
  })

  it('dispatches nothing that lacks its blank line, nor frames without data', () => {
    const parser = parse('id: 7\n\ndata: cut off\n')
    expect(parser.events).toEqual([])
    expect(parser.lastEventId).toBe('7')
  })
})

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AnswerParser, MalformedAnswer } from '../../src/env/answer-parser.ts'

interface Seen {
  status: number
  headers: Readonly<Record<string, string>>
  body: string
  end: 'open' | 'ended' | 'last'
}

function parse(pieces: readonly string[]): Seen[] {
  const seen: Seen[] = []
  const current = () => seen.at(-1) as Seen
  const parser = new AnswerParser({
    onHead: (status, headers) => seen.push({ status, headers, body: '', end: 'open' }),
    onData: (bytes) => {
      current().body += Buffer.from(bytes).toString('latin1')
    },
    onEnd: (isLast) => {
      current().end = isLast ? 'last' : 'ended'
    },
  })
  for (const piece of pieces) parser.push(Buffer.from(piece, 'latin1'))
  return seen
}

const COUNTED = 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\nCurlew-Kind:  x y \r\n\r\nhello'
const EMPTY = 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'
const CHUNKED =
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n, world!\r\n\r\n0\r\nt: 1\r\n\r\n'
const LAST = 'HTTP/1.1 503 \r\nConnection: close\r\ncontent-length: 2\r\n\r\nno'

const EXPECTED: Seen[] = [
  {
    status: 200,
    headers: { 'content-length': '5', 'curlew-kind': 'x y' },
    body: 'hello',
    end: 'ended',
  },
  { status: 404, headers: { 'content-length': '0' }, body: '', end: 'ended' },
  {
    status: 200,
    headers: { 'transfer-encoding': 'chunked' },
    body: 'hello, world!\r\n',
    end: 'ended',
  },
  {
    status: 503,
    headers: { connection: 'close', 'content-length': '2' },
    body: 'no',
    end: 'last',
  },
]

describe('answers of nodes', () => {
  test('that begin like the one before are told alike, and others as they are', () => {
    const other = COUNTED.replace('5', '4').replace('hello', 'bye!')
    const [counted, , chunked] = EXPECTED as [Seen, Seen, Seen, Seen]
    const changed = { ...counted, headers: { ...counted.headers, 'content-length': '4' } }
    expect(parse([COUNTED + COUNTED + other + CHUNKED + CHUNKED + COUNTED])).toEqual([
      counted,
      counted,
      { ...changed, body: 'bye!' },
      chunked,
      chunked,
      counted,
    ])
  })

  test('are read one after the other, however they are cut', () => {
    const all = COUNTED + EMPTY + CHUNKED + LAST
    expect(parse([all])).toEqual(EXPECTED)
    expect(parse([...all])).toEqual(EXPECTED)
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: all.length }), { maxLength: 9 }), (cuts) => {
        const at = [0, ...cuts.toSorted((a, b) => a - b), all.length]
        const pieces = at.slice(1).map((end, i) => all.slice(at[i], end))
        expect(parse(pieces)).toEqual(EXPECTED)
      }),
    )
  })

  test('are open until their end has come', () => {
    expect(parse([COUNTED.slice(0, -1)])).toMatchObject([{ body: 'hell', end: 'open' }])
    expect(parse([CHUNKED.slice(0, -2)])).toMatchObject([{ end: 'open' }])
  })

  test.each([
    ['no answer', 'SSH-2.0-OpenSSH_9.2\r\n\r\n'],
    ['another version', 'HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n'],
    ['an answer before the answer', 'HTTP/1.1 100 Continue\r\n\r\n'],
    ['no length', 'HTTP/1.1 200 OK\r\n\r\n'],
    ['a length that is none', 'HTTP/1.1 200 OK\r\ncontent-length: 0x5\r\n\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n'],
    [
      'a length and chunks',
      'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n',
    ],
    ['another coding', 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: gzip\r\n\r\n'],
    ['a folded header', 'HTTP/1.1 200 OK\r\na: b\r\n c\r\ncontent-length: 0\r\n\r\n'],
    ['a size that is none', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-5\r\n'],
    [
      'a chunk longer than its size',
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc\r\n',
    ],
    ['a head without end', `HTTP/1.1 200 OK\r\na: ${'b'.repeat(20_000)}`],
  ])('are refused with %s', (_, text) => {
    expect(() => parse([text])).toThrow(MalformedAnswer)
    expect(() => parse([...text])).toThrow(MalformedAnswer)
  })
})

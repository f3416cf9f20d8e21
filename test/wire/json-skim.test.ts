import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { jsonSkimCode } from '../../scripts/wasm.ts'
import { JSON_SKIM } from '../../src/wire/json-skim.ts'

const isStop = (byte: number) => byte < 0x20 || byte === 0x22 || byte === 0x5c

function expectedEnd(bytes: Uint8Array, start: number, end: number): number {
  let at = start
  while (at < end && !isStop(bytes[at] as number)) at++
  return at
}

const PATH = new URL('../../src/wire/json-skim-code.ts', import.meta.url)

it('is assembled from its text; `npm run wasm` does it', async () => {
  expect(readFileSync(PATH, 'utf8')).toBe(await jsonSkimCode())
})

describe('valueEnd', () => {
  const skim = (text: string, start = 0, end?: number, isLine = false) => {
    const bytes = Buffer.from(text)
    return JSON_SKIM.valueEnd({}, bytes, start, end ?? bytes.length, isLine)
  }
  const isJson = (text: string) => {
    try {
      JSON.parse(text)
      return true
    } catch {
      return false
    }
  }

  /** How its author could have written it: blanks, escapes in upper and lower case. */
  const spaced = fc
    .tuple(fc.jsonValue({ depthSize: 'medium' }), fc.constantFrom(0, 1, '\t', ' \r\n'))
    .map(([value, space]) => JSON.stringify(value, null, space))
    .filter((text) => !/\de[+-]/.test(text))

  it.each([
    '0',
    '-0',
    '10',
    '-1.5',
    '0.25',
    'true',
    'false',
    'null',
    '""',
    '"a"',
    '{}',
    '[]',
    '[[]]',
    '{"a":1}',
    '{"a":{"b":[1,{"c":null}]},"d":false}',
    '[ 1 ,\t2\r\n, 3 ]',
    '{ "a" : 1 , "b" : [ ] }',
    '"\\n\\"\\\\\\/"',
    '"\\u00e9\\uABCD\\uabcd"',
    `"${'é'.repeat(40)}"`,
    ' \t 1',
    `${'['.repeat(64)}${']'.repeat(64)}`,
  ])('steps over %s', (text) => {
    expect(isJson(text)).toBe(true)
    expect(skim(text)).toBe(Buffer.byteLength(text))
    for (const behind of [',', '}', ']', ' ', '\n', '"', '{']) {
      expect(skim(text + behind)).toBe(Buffer.byteLength(text))
    }
  })

  it('steps over all JSON without exponents, wherever it begins', () => {
    fc.assert(
      fc.property(spaced, fc.string(), (text, before) => {
        const start = Buffer.byteLength(before)
        expect(skim(before + text, start)).toBe(start + Buffer.byteLength(text))
      }),
      { numRuns: 1000 },
    )
  })

  it.each([
    '',
    ' ',
    '-',
    '-a',
    '1.',
    '1.e',
    '.5',
    '+1',
    '1e5',
    '1E5',
    '1.5e+3',
    'tru',
    'True',
    'nul',
    'fals',
    'falsy',
    'x',
    '"',
    '"a',
    '"\\',
    '"\\x"',
    '"\\u12"',
    '"\\u12g4"',
    '"\\u/234"',
    '"\\u:234"',
    '"\\u@234"',
    '"\\u`234"',
    '"a\nb"',
    '"\u0000"',
    '{',
    '[',
    '[1',
    '[1,',
    '[1,]',
    '[1 2]',
    '[1}',
    '[,1]',
    '{]',
    '{1:2}',
    '{"a"}',
    '{"a":}',
    '{"a":1,}',
    '{"a":1,2}',
    '{"a":1]',
    '{"a" 1}',
    '{a:1}',
    '{"a"::1}',
    '[tru]',
    '[1e5]',
    '[-]',
    '}',
    ']',
    ':',
    ',',
    `${'['.repeat(65)}${']'.repeat(65)}`,
  ])('is not sure of %j', (text) => {
    expect(skim(text)).toBe(-1)
    expect(skim(`${text}zzzzzzz`)).toBe(-1)
  })

  it('steps over nothing that is not JSON', () => {
    const bits = fc.array(
      fc.constantFrom(...'{}[]:,"\\u0a1-.eE tfn \n', 'true', 'null', '"a"', '"k":'),
      { maxLength: 12 },
    )
    const spoiled = fc.tuple(spaced, fc.nat(), bits).map(([text, at, bit]) => {
      const place = at % (text.length + 1)
      return text.slice(0, place) + bit.slice(0, 2).join('') + text.slice(place + (at % 3))
    })
    fc.assert(
      fc.property(
        fc.oneof(
          bits.map((all) => all.join('')),
          spoiled,
        ),
        (text) => {
          const end = skim(text)
          if (end !== -1) expect(isJson(Buffer.from(text).subarray(0, end).toString())).toBe(true)
        },
      ),
      { numRuns: 5000 },
    )
  })

  it('does not go beyond its end', () => {
    const text = '{"a":[true,12.5,"b"]}'
    for (let end = 0; end < text.length; end++) expect(skim(text, 0, end)).toBe(-1)
    expect(skim(text, 0, text.length)).toBe(text.length)
    expect(skim('1234', 0, 2)).toBe(-1)
  })

  it('is not sure of a value with a line feed between its parts, where that ends the line', () => {
    expect(skim('[1,\n2]', 0, undefined, true)).toBe(-1)
    expect(skim('[1,\r\t 2]\n', 0, undefined, true)).toBe(8)
    expect(skim('\n1', 0, undefined, true)).toBe(-1)
    expect(skim('\n1')).toBe(2)
  })

  it('does not take what was there before for its own', () => {
    expect(skim('9'.repeat(100))).toBe(100)
    expect(skim('12')).toBe(2)
  })

  it('is not sure of a value that a window may have cut, and of the same one in the next window', () => {
    const first = 262_143
    for (let missing = 0; missing < 6; missing++) {
      const text = `"${'x'.repeat(first - 6 + missing)}",12345678,"y"`
      const bytes = Buffer.from(text)
      const owner = {}
      const number = text.indexOf(',') + 1
      expect(JSON_SKIM.valueEnd(owner, bytes, 0, bytes.length, false)).toBe(
        number - 1 < first ? number - 1 : -1,
      )
      expect(JSON_SKIM.valueEnd(owner, bytes, number, bytes.length, false)).toBe(
        number < first ? -1 : number + 8,
      )
      expect(JSON_SKIM.valueEnd(owner, bytes, number + 9, bytes.length, false)).toBe(bytes.length)
    }
  })
})

describe('records', () => {
  const COMMA = 0x2c
  const FEED = 0x0a

  /** Key and value of each record, and what is left of the text. */
  function skim(text: string, { separator = COMMA, room = 100, keyBytes = 4, start = 0 } = {}) {
    const bytes = Buffer.from(text)
    const cut = (from: number, to: number) => bytes.subarray(from, to).toString()
    const records: (readonly [string | null, string])[] = []
    const wanted = { separator, room, keyBytes }
    const next = JSON_SKIM.records({}, bytes, start, wanted, (key, keyEnd, value, valueEnd) => {
      records.push([key === -1 ? null : cut(key, keyEnd), cut(value, valueEnd)])
    })
    return { records, left: cut(next, bytes.length) }
  }

  it.each([
    ['{"value":1},', [[null, '1']]],
    ['{"key":"k","value":{"key":2}},', [['k', '{"key":2}']]],
    [
      '{"value":[1],"key":""},{"value":null},',
      [
        ['', '[1]'],
        [null, 'null'],
      ],
    ],
    [
      ' \r\n{ "key": "é", "value": "a\\n" } ,\t{"value":\n-0.5},',
      [
        ['é', '"a\\n"'],
        [null, '-0.5'],
      ],
    ],
  ])('steps over %j', (text, records) => {
    expect(skim(text)).toEqual({ records, left: '' })
    expect(skim(`${text}]`)).toEqual({ records, left: ']' })
    expect(skim(`{"value":7},${text}`, { start: 12 })).toEqual({ records, left: '' })
  })

  it.each([
    '',
    ',',
    '7,',
    '[{"value":1}],',
    '{},',
    '{"value":1}',
    '{"value":1}]',
    '{"value":1}\n',
    '{"value":1},,',
    '{"value":1,},',
    '{"value":},',
    '{"value":1 2},',
    '{"value":1],',
    '{"value":1;"key":"a"},',
    '{"value":1e5},',
    '{"value" :1},',
    '{"v\\u0061lue":1},',
    '{"valuE":1},',
    '{"values":1},',
    '{"value":1,"value":2},',
    '{"key":"a"},',
    '{"key":"a","key":"b","value":1},',
    '{"keys":"a","value":1},',
    '{"key":"a\\n","value":1},',
    '{"key":"a\n","value":1},',
    '{"key":7,"value":1},',
    '{"key":null,"value":1},',
    '{"key":"12345","value":1},',
    '{"key":"a,"value":1},',
    '{"value":1,"headers":{}},',
    '{"partition":1,"value":1},',
  ])('is not sure of %j', (text) => {
    const plain = '{"key":"1234","value":0},'
    const records = [['1234', '0']]
    const isNext = text.startsWith('{"value":1},')
    const left = isNext ? text.slice(12) : text
    if (isNext) records.push([null, '1'] as unknown as string[])
    expect(skim(plain + text)).toEqual({ records, left })
  })

  it('takes line by line, whatever the blanks in them', () => {
    const body = '{"value":1}\r\n\t{"value" : 2}\n'
    const wanted = { separator: FEED }
    expect(skim(body, wanted)).toEqual({ records: [[null, '1']], left: '\t{"value" : 2}\n' })
    for (const cut of [
      '{"value":\n1}\n',
      '{\n"value":1}\n',
      '{"value":1\n}\n',
      '\n{"value":1}\n',
      '{"value":1},',
    ]) {
      expect(skim(cut, wanted)).toEqual({ records: [], left: cut })
    }
  })

  it('does not go on at the beginning where it is not sure of a value', () => {
    const bytes = Buffer.from(',"key":"k"},{"value":1e5},')
    const owner = {}
    const wanted = { separator: COMMA, room: 9, keyBytes: 4 }
    const fail = () => expect.unreachable()
    for (const start of [0, 12]) {
      expect(JSON_SKIM.records(owner, bytes, start, wanted, fail)).toBe(start)
    }
  })

  it('takes no more than there is room for', () => {
    const text = '{"value":1},'.repeat(3000)
    for (const room of [0, 1, 7]) {
      const { records, left } = skim(text, { room })
      expect([records.length, left.length]).toEqual([room, text.length - room * 12])
    }
    const { records, left } = skim(text, { room: 3000 })
    expect(records.length).toBeGreaterThan(500)
    expect(left).toHaveLength(text.length - records.length * 12)
  })

  it('goes on behind what a window has cut', () => {
    const bytes = Buffer.from(`{"value":"${'x'.repeat(1000)}"},`.repeat(1000))
    const owner = {}
    const sizes: number[] = []
    for (let at = 0; at < bytes.length; ) {
      const wanted = { separator: COMMA, room: 10_000, keyBytes: 4 }
      const next = JSON_SKIM.records(owner, bytes, at, wanted, (_key, _end, value, valueEnd) => {
        sizes.push(valueEnd - value)
        expect(bytes[value - 1]).toBe(0x3a)
      })
      // Of what is cut a walk makes sure, which takes the window along.
      if (next === at) {
        const end = bytes.indexOf('}', at)
        expect(JSON_SKIM.textEnd(owner, bytes, at + 10, end)).toBe(end - 1)
        sizes.push(end - at - 9)
        at = end + 2
      } else at = next
    }
    expect(sizes).toEqual(Array.from({ length: 1000 }, () => 1002))
  })
})

describe('textEnd', () => {
  it('stops at each byte that is not plain, at any distance', () => {
    for (let byte = 0; byte < 256; byte++) {
      for (let before = 0; before < 100; before++) {
        const bytes = Buffer.from(`${'x'.repeat(before)}?yyy`)
        bytes[before] = byte
        const expected = isStop(byte) ? before : bytes.length
        expect(JSON_SKIM.textEnd({}, bytes, 0, bytes.length)).toBe(expected)
      }
    }
  })

  it('does not look behind its end', () => {
    const bytes = Buffer.from(`${'x'.repeat(40)}"`)
    const owner = {}
    for (let end = 0; end <= 40; end++) expect(JSON_SKIM.textEnd(owner, bytes, 0, end)).toBe(end)
    expect(JSON_SKIM.textEnd(owner, bytes, 0, 41)).toBe(40)
  })

  const SIZE = 700_000

  /** Longer than what is looked at in one go, with a few stops. */
  const long = fc.array(fc.nat(SIZE - 1), { maxLength: 6 }).map((places) => {
    const bytes = Buffer.alloc(SIZE, 0xe9)
    for (const [i, place] of places.entries()) bytes[place] = [0x22, 0x5c, 0x1f, 0][i % 4] as number
    return { owner: {}, bytes }
  })
  const steps = fc.array(fc.tuple(fc.nat(1), fc.nat(SIZE), fc.nat(SIZE)), {
    minLength: 1,
    maxLength: 8,
  })

  it('keeps apart those who look in turns, forth and back', () => {
    fc.assert(
      fc.property(fc.tuple(long, long), steps, (texts, turns) => {
        for (const [turn, a, b] of turns) {
          const { owner, bytes } = texts[turn] as (typeof texts)[0]
          const [start, end] = a < b ? [a, b] : [b, a]
          const found = JSON_SKIM.textEnd(owner, bytes, start, end)
          expect(found).toBe(expectedEnd(bytes, start, end))
        }
      }),
      { numRuns: 100 },
    )
  })
})

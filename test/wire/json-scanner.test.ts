import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LIMITS } from '../../src/core/limits.ts'
import { JsonScanner } from '../../src/wire/json-scanner.ts'
import { isJson } from '../../src/wire/json-slice.ts'
import { mutated } from './mutated.ts'

/** What the engine says, with UTF-8 checked as strictly as we do. */
function isJsonByEngine(bytes: Uint8Array): boolean {
  try {
    JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))
    return true
  } catch {
    return false
  }
}

/** Strings that are long enough for every way of the scanner, with what ends a run at any place. */
const longString = fc
  .tuple(
    fc.nat(300),
    fc.nat(300),
    fc.constantFrom('"', '\\', '\n', '\u0000', 'é', '\u2028', '😀', ''),
  )
  .map(([before, after, odd]) => 'x'.repeat(before) + odd + 'y'.repeat(after))

const document = fc.oneof(
  fc.jsonValue({ maxDepth: 4, stringUnit: 'binary' }).map((value) => JSON.stringify(value)),
  fc
    .jsonValue({ maxDepth: 4 })
    .map((value) => JSON.stringify(value, null, 2).replaceAll('\n', '\r\n')),
  fc.array(longString, { maxLength: 4 }).map((strings) => JSON.stringify(strings)),
  longString.map((text) => `"${text}"`),
)

describe('isJson', () => {
  it('agrees with the engine on documents, whole and damaged', () => {
    let accepted = 0
    fc.assert(
      fc.property(mutated(document), fc.nat(7), (bytes, shift) => {
        // The start of a body may lie anywhere in its memory.
        const memory = Buffer.alloc(bytes.length + shift + 8, 0x22)
        memory.set(bytes, shift)
        const expected = isJsonByEngine(bytes)
        expect(isJson(memory.subarray(shift, shift + bytes.length))).toBe(expected)
        if (expected) accepted++
        // What is skimmed over goes the long way beside an exponent.
        const unsure = Buffer.concat([Buffer.from('['), bytes, Buffer.from(',1e5]')])
        expect(isJson(unsure)).toBe(isJsonByEngine(unsure))
      }),
      { numRuns: 10_000 },
    )
    expect(accepted).toBeGreaterThan(1000)
  })

  it.each([
    ...['0', '-0', '1e400', '12.0', '-1.5E+7', '123456789012345678901234567890', 'true', 'null'],
    ...[' \t\r\n[ ]\n', '{"a":1,"a":2}', '"\\ud800"', '"\\/\\b\\f\\n\\r\\t\\"\\\\"', '"\u007f"'],
  ])('takes %s', (text) => {
    expect(isJson(Buffer.from(text))).toBe(true)
  })

  it.each([
    ...[
      '',
      ' ',
      '01',
      '1.',
      '.5',
      '-',
      '+1',
      '1e',
      '1e+',
      '0x1',
      'NaN',
      'Infinity',
      'tru',
      'truex',
    ],
    ...['nul', '"', '"\\"', '"\\x"', '"\\u12g4"', '"\\u123', '"\t"', "'a'", '[1,]', '[,]', '[1 2]'],
    ...['{', '{}}', '{a:1}', '{"a"}', '{"a":}', '{"a":1,}', '{"a" 1}', '[}', '{]', '[1', '\ufeff1'],
    ...['1 2', '/**/1', '\u00a01', '"\\', '[\u000b1]'],
  ])('refuses %j', (text) => {
    expect(isJson(Buffer.from(text))).toBe(false)
  })

  it.each(['ff', '22c322', '22c0af22', '22eda08022', '22f490808022'])(
    'refuses %s, no UTF-8',
    (hex) => {
      expect(isJson(Buffer.from(hex, 'hex'))).toBe(false)
    },
  )

  it('knows every byte, wherever in a long string it stands', () => {
    for (let byte = 0; byte < 256; byte++) {
      for (let before = 60; before < 68; before++) {
        const text = Buffer.from(`"${'x'.repeat(before)}?${'y'.repeat(80)}"`)
        text[before + 1] = byte
        expect(isJson(text)).toBe(isJsonByEngine(text))
      }
    }
  })

  it('goes as deep as the limit and no deeper, without recursion', () => {
    const nested = (depth: number) => Buffer.from('['.repeat(depth) + ']'.repeat(depth))
    expect(isJson(nested(LIMITS.jsonDepth))).toBe(true)
    expect(isJson(nested(LIMITS.jsonDepth + 1))).toBe(false)
    expect(isJson(Buffer.from('{"a":'.repeat(1_000_000)))).toBe(false)
  })
})

describe('JsonScanner', () => {
  it.each([
    ['[1, 2', 5, 'ends where a comma or a closing bracket should come'],
    ['{"a" : }', 7, '"}" where a value should come'],
    ['{"a": tru}', 6, 'not a value (true is meant?)'],
    ['["abc', 1, 'a string without an end'],
    [`["a\u0001"]`, 3, 'a control character in a string'],
    ['["a\\q"]', 3, 'a bad escape sequence in a string'],
    ['[-]', 2, 'a number that lacks a digit'],
    ['[\u0007]', 1, 'byte 0x07 where a value should come'],
  ])('says where and why %j is none', (text, at, fault) => {
    const scanner = new JsonScanner()
    const bytes = Buffer.from(`xx${text}`)
    scanner.reset(bytes, 2)
    expect(scanner.value()).toBe(false)
    expect(scanner.faultText).toBe(`not JSON at byte ${at}: ${fault}`)
  })

  it('does not look behind its end', () => {
    const scanner = new JsonScanner()
    const text = `["${'x'.repeat(100)}"]`
    for (let end = 0; end < text.length; end++) {
      scanner.reset(Buffer.from(text), 0, end)
      expect(scanner.value()).toBe(false)
      expect(scanner.at).toBeLessThanOrEqual(end)
    }
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LIMITS } from '../../src/core/limits.ts'
import { sliceLines } from '../../src/wire/produce-lines.ts'
import type { SlicedRecord } from '../../src/wire/record-slicer.ts'
import { mutated } from './mutated.ts'

function values(body: string): (string | undefined)[] {
  const sliced = sliceLines(Buffer.from(body))
  if ('faults' in sliced) throw new Error(JSON.stringify(sliced.faults))
  return sliced.records.map(({ value }) => value && Buffer.from(value).toString()) as string[]
}

function faults(body: string | Uint8Array, firstLine?: number): string[] {
  const sliced = sliceLines(Buffer.from(body), firstLine)
  if (!('faults' in sliced)) throw new Error('there is no fault')
  return sliced.faults.map(({ pointer, detail }) => `${pointer}: ${detail}`)
}

describe('sliceLines', () => {
  it.each([
    ['', []],
    ['\n \r\n', []],
    ['{"value":1}', ['1']],
    ['{"value":1}\n{"value":12.0}\n', ['1', '12.0']],
    ['{"value":1}\r\n\r\n  {"value":{ "a" : 1e400 }}\t\r\n', ['1', '{ "a" : 1e400 }']],
  ])('slices %j', (body, expected) => {
    expect(values(body)).toEqual(expected)
  })

  it('numbers lines from the one it is told, empty ones too', () => {
    const sliced = sliceLines(Buffer.from('{"value":1}\n\n{"value":2}\n'), 41)
    expect('pointerOf' in sliced && [0, 1].map(sliced.pointerOf)).toEqual(['line 41', 'line 43'])
  })

  it.each([
    ['{"value":1}\n{"value":', 'line 2: not JSON at byte 9: ends where a value should come'],
    ['{"value":\n1}', 'line 1: not JSON at byte 9: ends where a value should come'],
    ['\n{"value":1,"key":2}', 'line 2/key: must be a string'],
    ['{"value":1} {"value":2}', 'line 1: not JSON at byte 12: "{" where the end should come'],
    ['[]', 'line 1: must be an object'],
    ['5 6', 'line 1: must be an object'],
  ])('refuses %j', (body, fault) => {
    expect(faults(body)[0]).toBe(fault)
  })

  it('reports each bad line once text is at fault, and goes on with the next', () => {
    const body = Buffer.concat([
      Buffer.from('{"value":1}\n{"value":"'),
      Buffer.from([0xff]),
      Buffer.from('"}\n{"valeu":1}\n{'),
    ])
    expect(faults(body, 10)).toEqual([
      'line 11: is not UTF-8',
      'line 12/valeu: is not known',
      'line 12: needs value, valueBase64 or "tombstone": true',
      'line 13: not JSON at byte 1: ends where a name in quotes should come',
    ])
  })

  it('takes as many records as a request may have', () => {
    const most = '{"value":1}\n'.repeat(LIMITS.recordsPerRequest)
    expect(values(most)).toHaveLength(LIMITS.recordsPerRequest)
    for (const behind of ['{"value":1}\n', '{"value":1}', '{"value":1}\n'.repeat(3)]) {
      const expected = ['line 100002: is record 100001; a request has at most 100000']
      expect(faults(`\n${most}${behind}`)).toEqual(expected)
    }
  })

  const withTexts = (record: SlicedRecord) => ({
    ...record,
    key: record.key && Buffer.from(record.key).toString(),
    value: record.value && Buffer.from(record.value).toString(),
  })

  /** What becomes of a body whose lines are cut before any of them is looked at. */
  function lineByLine(body: Buffer) {
    const records: SlicedRecord[] = []
    const found: unknown[] = []
    let line = 1
    for (let start = 0; start < body.length; line++) {
      const feed = body.indexOf('\n', start)
      const end = feed === -1 ? body.length : feed
      const sliced = sliceLines(body.subarray(start, end), line)
      if ('faults' in sliced) found.push(...sliced.faults)
      else records.push(...sliced.records)
      start = end + 1
    }
    return { records, faults: found.slice(0, LIMITS.faultsPerAnswer) }
  }

  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }).map((each) => JSON.stringify(each)),
    fc.nat(200).map((length) => JSON.stringify('x'.repeat(length))),
    fc.constantFrom('true', '-12.5e+3', '"\\u00e9\\n"', '[ 1 , {"a" : null } ]'),
  )
  const plain = fc
    .tuple(value, fc.constantFrom('', '"key":"k",', '"key": "é" , ', '"key":"\\t",'))
    .map(([text, key]) => `{${key}"value":${text}}`)
  const record = value.map((text) => `{"key":"k","value":${text},"headers":{"a":"b"}}`)
  const empty = fc.constantFrom('', ' ', '\r')
  const lines = fc.oneof(
    fc.array(plain, { maxLength: 6 }),
    fc.array(fc.oneof(plain, plain, record, empty), { maxLength: 40 }),
  )
  const document = lines.map((texts) => texts.join('\n'))

  it('finds the end of a line on the way as if it had been cut there before', () => {
    let faulty = 0
    fc.assert(
      fc.property(mutated(document), (bytes) => {
        const body = Buffer.from(bytes)
        const sliced = sliceLines(body)
        const expected = lineByLine(body)
        if ('faults' in sliced) {
          faulty++
          expect(sliced.faults).toEqual(expected.faults)
        } else {
          expect(sliced.records.map(withTexts)).toEqual(expected.records.map(withTexts))
          expect(expected.faults).toEqual([])
        }
      }),
      { numRuns: 5000 },
    )
    expect(faulty).toBeGreaterThan(500)
  })
})

/**
 * The slicer against the published schema: what a generated client may send is what is taken. The
 * reference judges with JSON.parse, the schema, and the few rules that a schema cannot say.
 */
import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sliceRecords } from '../../src/wire/json-slice.ts'
import { sliceLines } from '../../src/wire/produce-lines.ts'
import { ProduceBody, ProduceRecord } from '../../src/wire/produce-schema.ts'
import { memberNames } from './member-names.ts'
import { mutated } from './mutated.ts'

const RUNS = 15_000

function compile() {
  const ajv = new Ajv({ strict: true })
  addFormats.default(ajv)
  ajv.addSchema(ProduceRecord)
  return {
    isBody: ajv.compile(ProduceBody),
    isRecord: ajv.compile<object>({ $ref: 'ProduceRecord#' }),
  }
}

const { isBody, isRecord } = compile()

interface RecordLike {
  readonly key?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly headersBase64?: Readonly<Record<string, string>>
  readonly timestamp?: string
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const isUnique = (names: readonly string[]) => new Set(names).size === names.length

/** What the schema cannot say about a record that it accepts. */
function isBeyondSchema(record: RecordLike, text: string): boolean {
  const names = [...Object.keys(record.headers ?? {}), ...Object.keys(record.headersBase64 ?? {})]
  const texts = [record.key ?? '', ...names, ...Object.values(record.headers ?? {})]
  const time = record.timestamp?.toUpperCase() ?? '1970-01-01T00:00:00Z'
  return (
    memberNames(text, 0).every(isUnique) &&
    memberNames(text, 1, ['headers', 'headersBase64']).every(isUnique) &&
    isUnique(names) &&
    texts.every((each) => each.isWellFormed()) &&
    Date.parse(time.replace(':60', ':59')) + (time.includes(':60') ? 1000 : 0) >= 0
  )
}

function isRecordByReference(text: string): boolean {
  const record = parse(text)
  return isRecord(record) && isBeyondSchema(record, text)
}

const whitespace = (characters: string) =>
  fc.oneof(
    { weight: 8, arbitrary: fc.constant('') },
    { weight: 1, arbitrary: fc.string({ unit: fc.constantFrom(...characters), maxLength: 3 }) },
  )

/** JSON texts of each member: such as are right, and a few that are not. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  key: ['"a"', '"a"', '""', '"\\u0041\\n"', '"é"', '5', 'null', '"\\ud800"'],
  keyBase64: ['"YQ=="', '"YWI="', '""', '"\\u0059Q=="', '"YQ"', '"!"', '1'],
  value: ['1', '"x"', 'null', 'true', '{"a":[1,{"a":2}]}', '[ ]', '1e400', '12345678901234567890'],
  valueBase64: ['"YQ=="', '"\\/\\/8="', '"YR=="', 'null'],
  tombstone: ['true', 'true', 'false', '"true"', 'null'],
  headers: [
    ...['{}', '{"a":"b"}', '{"a":"b","c":""}', '{"c":"\\u00e9"}', '{"a":"b","a":"c"}'],
    ...['{"__a":"b"}', '{"":"b"}', '{"a":1}', '[]', '{"\\u005f_":""}', '{"a":"\\udc00"}'],
  ],
  headersBase64: ['{}', '{"x":"/w=="}', '{"a":"YQ=="}', '{"x":"w"}', '{"__x":""}', 'null'],
  partition: ['0', '3', '3.0', '2147483647', '2147483648', '-0', '-1', '1.5', '1e1', '"0"'],
  timestamp: [
    ...['"2026-11-22T10:00:00Z"', '"2026-11-22t10:00:00.5+01:00"', '"2016-12-31T23:59:60Z"'],
    ...['"1970-01-01T00:00:00Z"', '"1970-01-01T00:00:00+00:01"', '"1969-12-31T23:00:00-02:00"'],
    ...['"2025-02-29T00:00:00Z"', '"2026-11-22"', '"2026-11-22T10:00:00"', '5'],
    ...['"2026-11-22T10:00:00.1234567890Z"', '"2026-11-22T10:00:60Z"', '"2026-11-22 10:00:00Z"'],
  ],
  valu: ['1'],
  topic: ['"orders"'],
}

/** How often each member is there: records that are right must be common. */
const SHARES: Readonly<Record<string, number>> = { value: 80, key: 40, valu: 3, topic: 3 }

function records(space: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const members = Object.entries(VALUES).map(([name, values]) => {
    const spelling = fc.constantFrom(
      `"${name}"`,
      `"${name}"`,
      `"\\u00${name.charCodeAt(0).toString(16)}${name.slice(1)}"`,
    )
    const member = fc
      .tuple(space, spelling, space, space, fc.constantFrom(...values), space)
      .map(([a, key, b, c, value, d]) => `${a}${key}${b}:${c}${value}${d}`)
    const share = SHARES[name] ?? 15
    return fc.oneof(
      { weight: share, arbitrary: member },
      { weight: 100 - share, arbitrary: fc.constant('') },
    )
  })
  return fc.tuple(fc.tuple(...members), fc.nat()).map(([all, turn]) => {
    const given = all.filter((member) => member !== '')
    const first = given.length === 0 ? 0 : turn % given.length
    return `{${[...given.slice(first), ...given.slice(0, first)].join(',')}}`
  })
}

describe('the produce schema and the slicer', () => {
  it('accept the same arrays of records', () => {
    const space = whitespace(' \n\r\t')
    const body = fc
      .tuple(space, fc.array(records(space), { minLength: 0, maxLength: 3 }), space)
      .map(([before, all, after]) => `${before}{"records":[${all.join(`${after},`)}]}${after}`)
    let accepted = 0
    fc.assert(
      fc.property(mutated(body), (bytes) => {
        const text = decode(bytes)
        const parsed = text === undefined ? undefined : parse(text)
        const isTaken =
          text !== undefined &&
          isBody(parsed) &&
          memberNames(text, 0).every(isUnique) &&
          memberNames(text, 2).every(isUnique) &&
          memberNames(text, 3, ['headers', 'headersBase64']).every(isUnique) &&
          (parsed.records as RecordLike[]).every((record) => isBeyondSchema(record, '{}'))
        const sliced = sliceRecords(bytes)
        expect('faults' in sliced ? sliced.faults.length > 0 : isTaken).toBe(true)
        expect('records' in sliced).toBe(isTaken)
        if (isTaken) accepted++
      }),
      { numRuns: RUNS },
    )
    expect(accepted).toBeGreaterThan(RUNS / 20)
  })

  it('accept the same lines', () => {
    let accepted = 0
    const lines = fc.array(mutated(records(whitespace(' \t'))), { minLength: 1, maxLength: 2 })
    fc.assert(
      fc.property(lines, (all) => {
        // A change may have made several lines of one, or none.
        const bytes = Buffer.concat(all.flatMap((line) => [line, Buffer.from('\n')]))
        const texts = splitLines(bytes).map(decode)
        const given = texts.filter((text) => text === undefined || /[^ \t\r]/.test(text))
        const isTaken = given.every((text) => text !== undefined && isRecordByReference(text))
        expect('records' in sliceLines(bytes)).toBe(isTaken)
        if (isTaken) accepted++
      }),
      { numRuns: RUNS },
    )
    expect(accepted).toBeGreaterThan(RUNS / 20)
  })
})

function splitLines(bytes: Buffer): Uint8Array[] {
  const lines: Uint8Array[] = []
  for (let start = 0; start < bytes.length; ) {
    const feed = bytes.indexOf(0x0a, start)
    lines.push(bytes.subarray(start, feed))
    start = feed + 1
  }
  return lines
}

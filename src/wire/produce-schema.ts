/**
 * The produce body for readers of the API description. The slicer decides; it refuses beyond this
 * only what a schema cannot say: repeated members and headers, half surrogate pairs, keys too long
 * in bytes, JSON nested too deep, and times before 1970.
 */
import { Type } from 'typebox'
import { LIMITS } from '../core/limits.ts'
import { ref } from './schema.ts'

const BASE64 =
  '^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$'
const DATE_TIME =
  '^\\d{4}-\\d\\d-\\d\\d[Tt](?:[01]\\d|2[0-3]):[0-5]\\d:(?:[0-5]\\d|60)(?:\\.\\d{1,9})?(?:[Zz]|[+-]\\d\\d:\\d\\d)$'
const HEADER_NAME = '^(?!__)[^]+$'

const base64 = (description: string) => Type.String({ pattern: BASE64, description })

function headers(value: ReturnType<typeof Type.String>, description: string) {
  return Type.Record(Type.String({ pattern: HEADER_NAME }), value, {
    additionalProperties: false,
    maxProperties: LIMITS.headersPerRecord,
    description,
  })
}

/** All the members are there, and as they are named here. */
function given(properties: Readonly<Record<string, object | boolean>>) {
  return { type: 'object', properties, required: Object.keys(properties) }
}

export const ProduceRecord = Type.Object(
  {
    key: Type.Optional(
      Type.String({
        maxLength: LIMITS.keyBytes,
        description: 'Leave it out for a record without a key.',
      }),
    ),
    keyBase64: Type.Optional(base64('A key that is not text.')),
    value: Type.Optional(
      Type.Unknown({ description: 'Any JSON; its bytes are kept as they are.' }),
    ),
    valueBase64: Type.Optional(base64('A value that is not JSON.')),
    tombstone: Type.Optional(
      Type.Boolean({
        description: '`true`: the record deletes its key; `value` is null or absent.',
      }),
    ),
    headers: Type.Optional(
      headers(Type.String(), 'Names that start with two underscores are reserved.'),
    ),
    headersBase64: Type.Optional(headers(base64('Not text.'), 'Headers whose value is not text.')),
    partition: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 0x7fff_ffff, description: 'Wins over the key.' }),
    ),
    timestamp: Type.Optional(
      Type.String({
        format: 'date-time',
        pattern: DATE_TIME,
        description: 'RFC 3339; kept to the millisecond. Default: the time of the request.',
      }),
    ),
  },
  {
    $id: 'ProduceRecord',
    additionalProperties: false,
    allOf: [
      { not: given({ key: true, keyBase64: true }) },
      { not: given({ value: true, valueBase64: true }) },
      { not: given({ tombstone: { const: true }, valueBase64: true }) },
      { not: given({ tombstone: { const: true }, value: { not: { type: 'null' } } }) },
      {
        anyOf: [
          given({ value: true }),
          given({ valueBase64: true }),
          given({ tombstone: { const: true } }),
        ],
      },
    ],
  },
)

export const ProduceBody = Type.Object(
  {
    records: Type.Array(ref(ProduceRecord), { minItems: 1, maxItems: LIMITS.recordsPerRequest }),
  },
  { $id: 'ProduceBody', additionalProperties: false },
)

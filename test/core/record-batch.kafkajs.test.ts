/** Both ways against an independent implementation of Kafka's protocol. */
import { createRequire } from 'node:module'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkBatch, encodeBatch, stampBatch } from '../../src/core/record-batch.ts'
import { recordsArbitrary } from './record-arbitrary.ts'
import { walkBatch } from './walk-batch.ts'

interface KafkaRecord {
  readonly offset: string
  readonly timestamp: string
  readonly attributes: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, Buffer>>
}

interface Kafkajs {
  readonly decodeBatch: (decoder: unknown) => Promise<{ readonly records: readonly KafkaRecord[] }>
  readonly Decoder: new (bytes: Buffer) => unknown
  readonly RecordBatch: (fields: object) => Promise<{ readonly buffer: Buffer }>
  readonly Record: (fields: object) => unknown
}

function loadKafkajs(): Kafkajs {
  const require = createRequire(import.meta.url)
  const at = 'kafkajs/src/protocol'
  const { RecordBatch } = require(`${at}/recordBatch/v0/index.js`) as Pick<Kafkajs, 'RecordBatch'>
  return {
    RecordBatch,
    Record: require(`${at}/recordBatch/record/v0/index.js`) as Kafkajs['Record'],
    Decoder: require(`${at}/decoder.js`) as Kafkajs['Decoder'],
    decodeBatch: require(`${at}/recordBatch/v0/decoder.js`) as Kafkajs['decodeBatch'],
  }
}

const kafkajs = loadKafkajs()

describe('RecordBatch against kafkajs', () => {
  it('is read by it', async () => {
    await fc.assert(
      fc.asyncProperty(recordsArbitrary, fc.nat(2 ** 40), async (records, baseOffset) => {
        const batch = Buffer.from(encodeBatch(records))
        stampBatch(batch, { baseOffset, leaderEpoch: 3 })
        const decoded = await kafkajs.decodeBatch(new kafkajs.Decoder(batch))
        expect(
          decoded.records.map(({ offset, timestamp, attributes, key, value }) => ({
            offset,
            timestamp,
            attributes,
            key,
            value,
          })),
        ).toEqual(
          records.map((record, i) => ({
            offset: String(baseOffset + i),
            timestamp: String(record.timestampMs),
            attributes: record.media,
            key: record.key && Buffer.from(record.key),
            value: record.value && Buffer.from(record.value),
          })),
        )
      }),
      { numRuns: 100 },
    )
  })

  it('reads what it writes', async () => {
    await fc.assert(
      fc.asyncProperty(recordsArbitrary, async (inputs) => {
        const records = inputs.map((input, i) => ({
          offsetDelta: i,
          timestampDelta: input.timestampMs - inputs[0]!.timestampMs,
          key: input.key && Buffer.from(input.key),
          value: input.value && Buffer.from(input.value),
          headers: Object.fromEntries(
            input.headers.map(({ name, value }) => [`h${name}`, Buffer.from(value ?? [])]),
          ),
        }))
        const { buffer } = await kafkajs.RecordBatch({
          firstTimestamp: inputs[0]!.timestampMs,
          maxTimestamp: Math.max(...inputs.map(({ timestampMs }) => timestampMs)),
          lastOffsetDelta: inputs.length - 1,
          records: records.map((record) => kafkajs.Record(record)),
        })
        expect(checkBatch(buffer, 0, buffer.length)).toBe('valid')
        expect(walkBatch(buffer)).toEqual(
          records.map(({ key, value, headers, offsetDelta }) => ({
            offset: offsetDelta,
            timestampMs: inputs[offsetDelta]!.timestampMs,
            media: 0,
            key,
            value,
            headers: Object.entries(headers).map(([name, header]) => ({
              name: Buffer.from(name).toString(),
              value: header,
            })),
          })),
        )
      }),
      { numRuns: 100 },
    )
  })
})

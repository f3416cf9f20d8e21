/** The binary messages between nodes: nothing is lost, and nothing that is cut or garbled passes. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeAppend, encodeAppend } from '../../src/wire/append-codec.ts'
import {
  decodeFetchAnswer,
  decodeFetchRequest,
  encodeFetchAnswer,
  encodeFetchRequest,
} from '../../src/wire/fetch-codec.ts'
import { MalformedMessage } from '../../src/wire/message.ts'
import {
  decodeReplicaAnswer,
  decodeReplicaFetch,
  encodeReplicaAnswer,
  encodeReplicaFetch,
} from '../../src/wire/replica-fetch-codec.ts'
import {
  appendRequests,
  fetchRequest,
  fetchResults,
  replicaFetch,
  replicaReply,
} from './node-messages.ts'

interface Codec<T> {
  readonly name: string
  readonly messages: fc.Arbitrary<T>
  readonly encode: (message: T) => Uint8Array[]
  readonly decode: (bytes: Uint8Array) => T
}

function codec<T>(
  name: string,
  messages: fc.Arbitrary<T>,
  encode: (message: T) => Uint8Array[],
  decode: (bytes: Uint8Array) => T,
): Codec<unknown> {
  return { name, messages, encode, decode } as Codec<unknown>
}

const codecs = [
  codec('append', appendRequests, encodeAppend, decodeAppend),
  codec('fetch request', fetchRequest, encodeFetchRequest, decodeFetchRequest),
  codec('fetch answer', fetchResults, encodeFetchAnswer, decodeFetchAnswer),
  codec('replica fetch', replicaFetch, encodeReplicaFetch, decodeReplicaFetch),
  codec('replica answer', replicaReply, encodeReplicaAnswer, decodeReplicaAnswer),
]

/** What `decode` makes of the bytes; any error but the one that is allowed goes on. */
function attempt(decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array): unknown {
  try {
    return decode(bytes)
  } catch (error) {
    if (error instanceof MalformedMessage) return error
    throw error
  }
}

/** Batches as plain bytes, whatever kind of array holds them. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plain(item)]))
}

describe.each(codecs)('$name', ({ messages, encode, decode }) => {
  test('comes back as it was, from any place in a buffer', () => {
    fc.assert(
      fc.property(messages, fc.nat(9), (message, before) => {
        const bytes = Buffer.concat([Buffer.alloc(before, 0xee), ...encode(message)])
        expect(plain(decode(bytes.subarray(before)))).toEqual(plain(message))
      }),
    )
  })

  test('is refused when it is cut short at any byte, or longer than it is', () => {
    fc.assert(
      fc.property(messages, (message) => {
        const bytes = Buffer.concat(encode(message))
        for (let end = 0; end < bytes.length; end++) {
          expect(attempt(decode, bytes.subarray(0, end))).toBeInstanceOf(MalformedMessage)
        }
        const longer = Buffer.concat([bytes, Buffer.of(0)])
        expect(attempt(decode, longer)).toBeInstanceOf(MalformedMessage)
      }),
      { numRuns: 20 },
    )
  })

  test('garbage is refused, or is a message that would be written the same', () => {
    const garbled = fc.tuple(
      messages,
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
    )
    fc.assert(
      fc.property(garbled, ([message, changes]) => {
        const bytes = Buffer.concat(encode(message))
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte
        const result = attempt(decode, bytes)
        if (result instanceof MalformedMessage) return
        expect(plain(decode(Buffer.concat(encode(result))))).toEqual(plain(result))
      }),
      { numRuns: 500 },
    )
  })

  test('random bytes are refused or read, and nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(() => attempt(decode, bytes)).not.toThrow()
      }),
    )
  })
})

test('batches are sent and received without a copy', () => {
  fc.assert(
    fc.property(appendRequests, (requests) => {
      const parts = encodeAppend(requests)
      expect(parts).toHaveLength(requests.length + 1)
      for (const [i, { batch }] of requests.entries()) expect(parts[i + 1]).toBe(batch)
      const body = Buffer.concat(parts)
      for (const { batch } of decodeAppend(body)) expect(batch.buffer).toBe(body.buffer)
    }),
  )
})

test('an announced number of entries that the bytes cannot hold allocates nothing', () => {
  const request = Buffer.concat(encodeAppend([]))
  request.writeUInt32BE(0xffff_ffff, 0)
  expect(() => decodeAppend(request)).toThrow('fewer entries')
  const answer = Buffer.concat(encodeFetchAnswer([]))
  answer.writeUInt32BE(0xffff_ffff, 0)
  expect(() => decodeFetchAnswer(answer)).toThrow('fewer entries')
})

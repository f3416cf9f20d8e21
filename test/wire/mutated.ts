/** Documents as they are, and with a few bytes changed: what parsers meet. */
import fc from 'fast-check'

const INTERESTING = [...'{}[]",:\\ue0-1. \n\r\t\u0000tfn', '""', '\u00e9', '{}', '\\u', ',,']

type Change = readonly [kind: number, place: number, bytes: Uint8Array]

function apply(bytes: Uint8Array, [kind, place, insert]: Change): Uint8Array {
  const at = place % (bytes.length + 1)
  const head = bytes.subarray(0, at)
  switch (kind) {
    case 0:
      return Buffer.concat([head, insert, bytes.subarray(at)])
    case 1:
      return Buffer.concat([head, bytes.subarray(at + 1)])
    case 2:
      return Buffer.concat([head, insert, bytes.subarray(at + 1)])
    case 3:
      return head
    default:
      return Buffer.concat([
        head,
        bytes.subarray(Math.max(0, at - 12), at + 12),
        bytes.subarray(at),
      ])
  }
}

/** Half of them unchanged. */
export function mutated(documents: fc.Arbitrary<string>): fc.Arbitrary<Uint8Array> {
  const insert = fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom(...INTERESTING).map((text) => Buffer.from(text)) },
    { weight: 1, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 2 }) },
  )
  const changes = fc.oneof(
    fc.constant([]),
    fc.array(fc.tuple(fc.nat(4), fc.nat(), insert), { minLength: 1, maxLength: 2 }),
  )
  return fc
    .tuple(documents, changes)
    .map(([text, all]) => all.reduce<Uint8Array>(apply, Buffer.from(text)))
}

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { LineTooLongError, splitLines } from '../../src/metadata/line-splitter.ts'

async function* cut(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let at = 0
  for (const size of [...sizes, bytes.length]) {
    yield bytes.subarray(at, at + size)
    at += size
  }
}

describe('splitLines', () => {
  test('gives the same lines however the bytes are cut, letters of several bytes too', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: 'grapheme', minLength: 1 }).filter((s) => !s.includes('\n'))),
        fc.array(fc.nat(9)),
        async (lines, sizes) => {
          const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''))
          expect(await Array.fromAsync(splitLines(cut(bytes, sizes), 1_000))).toEqual(lines)
        },
      ),
    )
  })

  test('leaves out what is empty, and what the end cut off', async () => {
    const bytes = Buffer.from('\n\na\n\nb')
    expect(await Array.fromAsync(splitLines(cut(bytes, []), 10))).toEqual(['a'])
  })

  test('refuses a line that is too long, before it has all of it', async () => {
    const endless = async function* () {
      for (;;) yield Buffer.from('1234567890')
    }
    await expect(Array.fromAsync(splitLines(endless(), 99))).rejects.toThrow(LineTooLongError)
    const full = Buffer.from(`${'x'.repeat(99)}\n`.repeat(3))
    expect(await Array.fromAsync(splitLines(cut(full, [7]), 99))).toHaveLength(3)
  })
})

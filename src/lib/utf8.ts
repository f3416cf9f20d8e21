/** Whether bytes are UTF-8; native, tens of gigabytes a second. */
import { isUtf8 as isUtf8Native } from 'node:buffer'

export function isUtf8(bytes: Uint8Array, start = 0, end: number = bytes.length): boolean {
  return isUtf8Native(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end))
}

/** Index of the first byte that cannot be part of UTF-8; -1 if there is none. */
export function invalidUtf8At(bytes: Uint8Array): number {
  if (isUtf8Native(bytes)) return -1
  let low = 0
  let high = bytes.length
  // A prefix may end inside a character, so it counts as valid if at most three bytes more or less mend it.
  while (high - low > 8) {
    const middle = (low + high) >>> 1
    if (isUtf8Native(bytes.subarray(0, characterStart(bytes, middle)))) low = middle
    else high = middle
  }
  let at = characterStart(bytes, low)
  for (let next = at + 1; next <= bytes.length && at < bytes.length; next++) {
    if (isUtf8Native(bytes.subarray(at, next))) at = next
    else if (next - at >= 4) break
  }
  return at
}

/** The start of the character that holds `at`, as far as that can be told from its bytes. */
function characterStart(bytes: Uint8Array, at: number): number {
  let start = at
  while (start > 0 && at - start < 3 && ((bytes[start] as number) & 0xc0) === 0x80) start--
  return start
}

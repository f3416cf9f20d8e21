/** What is left of parts, one behind the other, after some of their bytes were written. */
export function dropBytes(parts: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let left = bytes
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] as Uint8Array
    if (part.length > left) {
      return left === 0 ? parts.slice(i) : [part.subarray(left), ...parts.slice(i + 1)]
    }
    left -= part.length
  }
  return []
}

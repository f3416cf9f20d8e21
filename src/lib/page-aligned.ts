/**
 * Memory that begins at a page, as writes past the page cache want it. JavaScript has no word for that;
 * memory that may be resized is mapped in whole pages by V8, and is otherwise like any other. Whoever
 * needs the alignment must be able to do without it.
 */
export function pageAligned(sizeBytes: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new ArrayBuffer(sizeBytes, { maxByteLength: sizeBytes }), 0, sizeBytes)
}

/** The same, for several threads. */
export function sharedPageAligned(sizeBytes: number): Uint8Array<SharedArrayBuffer> {
  const memory = new SharedArrayBuffer(sizeBytes, { maxByteLength: sizeBytes })
  return new Uint8Array(memory, 0, sizeBytes)
}

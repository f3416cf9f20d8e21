/** Randomness, as the rest of the code sees it. */
export interface Random {
  /** In [0, 1). */
  float(): number
  /** In [0, 2^32). */
  uint32(): number
  bytes(length: number): Uint8Array
}

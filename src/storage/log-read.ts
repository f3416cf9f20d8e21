/** What is asked of a log's reader, and what it gives. */
export interface ReadRange {
  readonly offset: number
  /** Nothing at or above it is returned. */
  readonly endOffset: number
  /** At least one batch is returned, however large, if there is one. */
  readonly maxBytes: number
}

export interface LogRead {
  /** Never written to before `release`. The first may begin below the offset that was asked for. */
  readonly batches: readonly Uint8Array[]
  readonly sizeBytes: number
  /** Behind the last batch; the offset that was asked for if there is none. */
  readonly nextOffset: number
  /**
   * Says that nobody looks at the batches any more, so that other reads may use their memory; it need
   * not be called. Undefined where there is nothing to give back.
   */
  readonly release?: (() => void) | undefined
}

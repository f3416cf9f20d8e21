/** Where a walk through a segment begins; the offsets, if given, are what the batch there must have. */
export interface StartPlace {
  readonly position: number
  readonly baseOffset?: number
  readonly lastOffset?: number
  /** How far behind it the first wanted batch begins at most, if that is known. */
  readonly approachBytes?: number | undefined
}

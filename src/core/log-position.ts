/** A place in a log, and in which of its histories: an election by force may have cut one short. */

export interface LogPosition {
  /** Of the record that comes next. */
  readonly offset: number
  /**
   * Leader epoch of the record before it; where a leader has named the place, since histories part there,
   * of the record behind it, or of that leader if none is there. -1 if unknown.
   */
  readonly leaderEpoch: number
}

/** By leader epoch where both are known, as of two histories the later one holds; else by offset. */
export function isBehind(place: LogPosition, other: LogPosition): boolean {
  const areKnown = place.leaderEpoch !== -1 && other.leaderEpoch !== -1
  if (areKnown && place.leaderEpoch !== other.leaderEpoch) {
    return place.leaderEpoch < other.leaderEpoch
  }
  return place.offset < other.offset
}

/** A line that keeps records safe, with what the code would be without it. */
export interface Patch {
  readonly file: string
  /** Occurs exactly once. */
  readonly find: string
  readonly replace: string
}

export interface Mutation extends Patch {
  readonly name: string
  /** What else has to go, where one line stands in for the other. */
  readonly also?: Patch | readonly Patch[]
  /** A scenario that must notice it. */
  readonly scenario?: string
  /** Tests that must notice it, where seeds hardly ever come to it. Without either the seeds must. */
  readonly test?: string
}

/** What a family of rows gets to work with, and what it has to offer. */
import { writeFileSync } from 'node:fs'
import type { Plan } from './interleave.ts'
import type { Measurement } from './measurement.ts'
import type { Stage } from './stage.ts'

export const SERVER_CORE = 0
export const LOAD_CORE = 1

export interface Bench {
  readonly stage: Stage
  readonly plan: Plan
  /** A smoke run: smaller sizes where the size is not the point. */
  readonly quick: boolean
  readonly wants: (row: string) => boolean
  readonly addTable: (table: ExtraTable) => void
}

/** Figures without a target that belong beside the rows. */
export interface ExtraTable {
  readonly title: string
  readonly note: string
  readonly columns: readonly string[]
  readonly lines: readonly (readonly string[])[]
}

export interface Family {
  readonly name: string
  readonly rows: readonly string[]
  measure(bench: Bench): Promise<Measurement[]>
}

/** Writes a request body where wrk can read it. */
export function bodyFile(stage: Stage, name: string, content: string | Buffer): string {
  const path = stage.path(name)
  writeFileSync(path, content)
  return path
}

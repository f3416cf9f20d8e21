/** The error table of PROTOCOL.md, which the answers of a server are held against. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface ErrorRow {
  readonly code: string
  readonly status: number
  readonly retryable: boolean
  readonly committed: string
}

const PROTOCOL = join(import.meta.dirname, '..', '..', 'PROTOCOL.md')
const ROW = /^\| `([a-z-]+)` \| (\d{3}) \| (yes|no) \| (no|yes|unknown) \|$/gm

export function readErrorTable(): ReadonlyMap<string, ErrorRow> {
  const rows = [...readFileSync(PROTOCOL, 'utf8').matchAll(ROW)].map(
    ([, code = '', status, retryable, committed = '']): [string, ErrorRow] => [
      code,
      { code, status: Number(status), retryable: retryable === 'yes', committed },
    ],
  )
  return new Map(rows)
}

/** Rewrites the table of errors in PROTOCOL.md from the code. */
import { readFileSync, writeFileSync } from 'node:fs'
import { ERRORS } from '../src/lib/service-error.ts'

const path = new URL('../PROTOCOL.md', import.meta.url)
const rows = Object.entries(ERRORS).map(
  ([code, error]) =>
    `| \`${code}\` | ${error.status} | ${error.retryable ? 'yes' : 'no'} | ${error.committed} |`,
)
const text = readFileSync(path, 'utf8').replace(
  /(<!-- errors[^>]*-->\n)[\s\S]*(<!-- end of errors -->)/,
  `$1| code | status | retryable | committed |\n|---|---|---|---|\n${rows.join('\n')}\n$2`,
)
writeFileSync(path, text)

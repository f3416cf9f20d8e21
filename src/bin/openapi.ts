/** Writes the OpenAPI documents, which are kept in the repository so that a change of them is seen. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { publicDocuments } from '../nodes/public-documents.ts'

const FOLDER = new URL('../../openapi/', import.meta.url)

const directory = mkdtempSync(join(tmpdir(), 'curlew-openapi-'))
try {
  for (const [name, text] of await publicDocuments(directory)) {
    writeFileSync(new URL(name, FOLDER), text)
  }
} finally {
  rmSync(directory, { recursive: true })
}

/** The documents in openapi/ are those that a node serves, and hold together. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { VERSION } from '../src/lib/version.ts'
import { publicDocuments } from '../src/nodes/public-documents.ts'
import { ROOT } from './source-files.ts'

interface Operation {
  readonly operationId?: string
  readonly summary?: string
  readonly tags?: readonly string[]
  readonly responses: Readonly<Record<string, unknown>>
}

interface Document {
  readonly tags: readonly { readonly name: string }[]
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

let directory: string
let documents: [string, string][]

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'curlew-openapi-'))
  documents = await publicDocuments(directory)
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

test('the documents in the repository are up to date (npm run openapi)', () => {
  expect(documents).toHaveLength(2)
  for (const [name, text] of documents) {
    expect(text).toBe(readFileSync(join(ROOT, 'openapi', name), 'utf8'))
  }
})

test('every operation has a name of its own, a summary, a tag, a success and a fallback', () => {
  for (const [, text] of documents) {
    const { paths, tags } = JSON.parse(text) as Document
    const known = tags.map(({ name }) => name)
    const operations = Object.values(paths).flatMap((item) => Object.values(item))
    expect(operations.length).toBeGreaterThan(14)
    const names = operations.map(({ operationId }) => operationId)
    expect(names).not.toContain(undefined)
    expect(new Set(names).size).toBe(names.length)
    for (const { operationId, summary, tags: own = [], responses } of operations) {
      expect(summary, operationId).toMatch(/^[A-Z].*[^.]$/)
      expect(own.length, operationId).toBeGreaterThan(0)
      for (const tag of own) expect(known, operationId).toContain(tag)
      const statuses = Object.keys(responses)
      expect(
        statuses.some((status) => status.startsWith('2')),
        operationId,
      ).toBe(true)
      if (!own.includes('operations')) expect(statuses, operationId).toContain('default')
    }
  }
})

test('every reference leads somewhere, and nothing of our own making is in there', () => {
  for (const [, text] of documents) {
    const document: unknown = JSON.parse(text)
    const references = [...text.matchAll(/"\$ref": "#\/([^"]+)"/g)].map((match) => match[1] ?? '')
    expect(references.length).toBeGreaterThan(10)
    for (const reference of references) {
      const target = reference
        .split('/')
        .reduce<unknown>(
          (at, name) => (at as Record<string, unknown> | undefined)?.[name],
          document,
        )
      expect(target, reference).toBeDefined()
    }
    expect(text).not.toMatch(/x-(?:item-schema|optional-body)/)
    expect(text).not.toContain('"$id"')
  }
})

test('the version is that of the package', () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    version: string
  }
  expect(VERSION).toBe(version)
})

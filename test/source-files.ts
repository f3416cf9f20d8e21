/** The sources as the rules about them see them: paths with their text and their relative imports. */
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'

export const ROOT = join(import.meta.dirname, '..')

export interface SourceFile {
  /** From the root of the repository. */
  readonly path: string
  readonly text: string
  /** Paths of the repository's own files that it imports. */
  readonly imports: readonly string[]
}

const IMPORT = /(?:\bfrom|\bimport)\s*\(?\s*'(\.[^']+)'/g

export function sourceFiles(pattern: string): SourceFile[] {
  return globSync(pattern, { cwd: ROOT, exclude: ['**/node_modules/**', '**/generated/**'] })
    .map((path) => {
      const text = readFileSync(join(ROOT, path), 'utf8')
      const imports = [...text.matchAll(IMPORT)].map((match) =>
        normalize(join(dirname(path), match[1] as string)),
      )
      return { path, text, imports }
    })
    .sort((a, b) => (a.path < b.path ? -1 : 1))
}

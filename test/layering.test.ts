/** Who may import whom. The table is the architecture; a new layer must be entered here first. */
import { expect, test } from 'vitest'
import { sourceFiles } from './source-files.ts'

const BELOW_NODES = [
  'lib',
  'core',
  'env',
  'wire',
  'storage',
  'metadata',
  'internal',
  'replication',
  'coordinator',
  'front',
  'http',
  'http/public',
  'http/internal',
  'config',
]

const ALLOWED: Record<string, readonly string[]> = {
  lib: [],
  core: ['lib'],
  env: ['lib'],
  wire: ['lib', 'core'],
  storage: ['lib', 'core', 'env'],
  internal: ['lib', 'core', 'env', 'wire'],
  metadata: ['lib', 'core', 'env', 'wire', 'internal'],
  replication: ['lib', 'core', 'env', 'wire', 'storage', 'metadata', 'internal'],
  coordinator: ['lib', 'core', 'env', 'wire', 'metadata'],
  front: ['lib', 'core', 'env', 'wire', 'metadata', 'internal'],
  http: ['lib', 'env', 'wire'],
  'http/public': ['http', 'lib', 'core', 'wire', 'front', 'metadata'],
  'http/internal': ['http', 'lib', 'env', 'wire', 'internal'],
  config: ['lib', 'core'],
  nodes: BELOW_NODES,
  cli: [...BELOW_NODES, 'nodes'],
  bin: ['nodes', 'cli', 'config', 'env', 'lib'],
}

/** `src/http/public/x.ts` is in http/public, `src/config.ts` in config, `src/core/ids.ts` in core. */
function layerOf(path: string): string {
  const parts = path.split('/').slice(1)
  if (parts.length === 1) return (parts[0] as string).replace(/\.ts$/, '')
  return parts.length > 2 && parts[0] === 'http' ? `http/${parts[1]}` : (parts[0] as string)
}

const files = sourceFiles('src/**/*.ts')

test('every layer is in the table', () => {
  const unknown = files.filter(({ path }) => ALLOWED[layerOf(path)] === undefined)
  expect(unknown.map(({ path }) => path)).toEqual([])
  expect(files.length).toBeGreaterThan(0)
})

test('imports go down the table only', () => {
  const faults: string[] = []
  for (const { path, imports } of files) {
    const layer = layerOf(path)
    for (const target of imports) {
      const other = layerOf(target)
      if (!target.startsWith('src/')) faults.push(`${path} imports ${target}`)
      else if (other !== layer && !ALLOWED[layer]?.includes(other)) {
        faults.push(`${path} imports ${target}: ${layer} may not use ${other}`)
      }
    }
  }
  expect(faults).toEqual([])
})

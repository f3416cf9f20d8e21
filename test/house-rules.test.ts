/** Rules about the sources that the linter does not know. */
import ts from 'typescript'
import { expect, test } from 'vitest'
import { sourceFiles } from './source-files.ts'

const FUNCTION_LINES_MAX = 70
const FILE_LINES_MAX = 500

const sources = sourceFiles('src/**/*.ts')
const tests = sourceFiles('{test,bench,scripts}/**/*.ts')

/** Where the real clock, disk and randomness may be touched or made. */
const OUTSIDE = /^src\/(env|bin|cli|nodes)\//

const AMBIENT: readonly RegExp[] = [
  /\bDate\.now\b/,
  /\bnew Date\(\s*\)/,
  /\bperformance\./,
  /\bprocess\.hrtime\b/,
  /\bMath\.random\b/,
  /\brandomUUID\b/,
  /\bgetRandomValues\b/,
  /\bset(?:Timeout|Interval|Immediate)\(/,
  /\bAbortSignal\.timeout\b/,
  /'node:(?:fs|fs\/promises|worker_threads|timers|timers\/promises)'/,
]

/** Written in two halves so that this file does not break its own rule. */
const UNFINISHED = new RegExp(
  [
    'TO' + 'DO',
    'FIX' + 'ME',
    'X' + 'XX',
    'biome-' + 'ignore',
    '@ts-' + 'ignore',
    '@ts-' + 'expect-error',
  ]
    .map((word) => `\\b${word}\\b|${word}`)
    .join('|'),
)
const ESCAPES = new RegExp(
  `\\bas ${'any'}\\b|\\b(?:test|it|describe)\\.(?:${'skip'}|${'only'}|todo)\\b`,
)
/** Words of our workshop, which mean nothing to a reader of the code. */
const WORKSHOP = new RegExp(
  `(?:^|[\\s'"\`(])/(?:${'work'}|${'tmp'})/|\\b(?:api|semantics|architecture|targets|style)\\.md\\b`,
)

const withoutComments = (text: string): string =>
  text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')

function matches(files: typeof sources, pattern: RegExp, view = (text: string) => text): string[] {
  return files.flatMap(({ path, text }) => {
    const match = pattern.exec(view(text))
    return match === null ? [] : [`${path}: ${match[0].trim()}`]
  })
}

test('time, chance and disk are touched in env only', () => {
  const inside = sources.filter(({ path }) => !OUTSIDE.test(path))
  expect(inside.length).toBeGreaterThan(0)
  for (const pattern of AMBIENT) expect(matches(inside, pattern, withoutComments)).toEqual([])
})

test('nothing is left unfinished or escapes the checks', () => {
  expect(matches([...sources, ...tests], UNFINISHED)).toEqual([])
  expect(matches([...sources, ...tests], ESCAPES, withoutComments)).toEqual([])
})

test('no words of the workshop', () => {
  expect(matches([...sources, ...tests], WORKSHOP)).toEqual([])
})

test('details of errors begin small and end without a full stop', () => {
  const start = `(?:ServiceError|refuse)\\(\\s*'[a-z-]+',\\s*['"\``
  const capital = new RegExp(`${start}](?!If-Match)[A-Z]`)
  const stop = new RegExp(`${start}][^'"\`\\n]*\\.['"\`]`)
  expect(matches(sources, /(?:ServiceError|refuse)\(\s*'[a-z-]+',\s*['"`]/)).not.toEqual([])
  expect([...matches(sources, capital), ...matches(sources, stop)]).toEqual([])
})

test('files are small and named after what they hold', () => {
  const tooLong = [...sources, ...tests].filter(
    ({ text }) => text.split('\n').length > FILE_LINES_MAX,
  )
  expect(tooLong.map(({ path }) => path)).toEqual([])
  const vague = sources.filter(
    ({ path }) =>
      /\/(index|utils?|types|helpers?|common|misc)\.ts$/.test(path) || /[A-Z_]/.test(path),
  )
  expect(vague.map(({ path }) => path)).toEqual([])
})

test('every file says at its head what it owns', () => {
  const mute = sources.filter(({ text }) => !/^(#!.*\n)?\/(\*\*|\/)/.test(text))
  expect(mute.map(({ path }) => path)).toEqual([])
})

test('functions fit on a screen', () => {
  const tooLong: string[] = []
  for (const { path, text } of sources) {
    const tree = ts.createSourceFile(path, text, ts.ScriptTarget.ESNext, true)
    const visit = (node: ts.Node): void => {
      if (ts.isFunctionLike(node) && !ts.isTypeNode(node)) {
        const start = tree.getLineAndCharacterOfPosition(node.getStart(tree)).line
        const end = tree.getLineAndCharacterOfPosition(node.end).line
        if (end - start + 1 > FUNCTION_LINES_MAX) tooLong.push(`${path}:${start + 1}`)
      }
      ts.forEachChild(node, visit)
    }
    visit(tree)
  }
  expect(tooLong).toEqual([])
})

test('every file is used', () => {
  const used = new Set(
    [...sources, ...tests].flatMap(({ path, imports }) =>
      imports.filter((target) => target !== path),
    ),
  )
  const dead = sources.filter(({ path }) => !used.has(path) && !path.startsWith('src/bin/'))
  expect(dead.map(({ path }) => path)).toEqual([])
})

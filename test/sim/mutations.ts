/**
 * `npm run sim:mutations`: takes the lines that keep records safe out of a copy of the sources, one at
 * a time, and sees that the simulator notices. What survives is a hole in the simulator, or a line
 * that is not needed.
 *
 *   --seeds 300    how many each of them must survive     --only text   those whose name has it
 *   --workers 2    how many are tried at once
 */
import { spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import type { Mutation, Patch } from './mutation.ts'
import { MUTATIONS } from './mutation-table.ts'

const ROOT = join(import.meta.dirname, '..', '..')
/** A mutant that turns in circles has been noticed, too. */
const TIMEOUT_MS = 10 * 60_000

interface Noticed {
  readonly mutation: Mutation
  /** What noticed it, and how; undefined if nothing did. */
  readonly by: string | undefined
}

function makeCopy(): string {
  const copy = mkdtempSync(join(tmpdir(), 'curlew-mutant-'))
  for (const part of ['src', 'test', 'package.json', 'vitest.config.ts', 'tsconfig.json']) {
    cpSync(join(ROOT, part), join(copy, part), { recursive: true })
  }
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'))
  return copy
}

function mutate(copy: string, name: string, { file, find, replace }: Patch): void {
  const path = join(copy, file)
  const text = readFileSync(path, 'utf8')
  const parts = text.split(find)
  if (parts.length !== 2) throw new Error(`"${name}" matches ${parts.length - 1} times in ${file}`)
  writeFileSync(path, parts.join(replace))
}

/** Gives the exit code, and all that was printed. */
async function run(copy: string, args: readonly string[]): Promise<[number | null, string[]]> {
  const child = spawn(process.execPath, args, {
    cwd: copy,
    timeout: TIMEOUT_MS,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NO_COLOR: '1' },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk
    })
  }
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  return [code, output.split('\n')]
}

async function simulate(copy: string, args: readonly string[]): Promise<string | undefined> {
  const main = join(copy, 'test', 'sim', 'main.ts')
  const [code, lines] = await run(copy, [main, '--first', ...args])
  if (code === 0) return undefined
  const failed = lines.findIndex((line) => /^seed \d+ FAILED/.test(line))
  if (failed !== -1) return `${lines[failed]?.slice(0, -8)}: ${lines[failed + 1]?.trim()}`
  const scenario = lines.findLast((line) => line.endsWith('FAILED'))
  const violation = lines.find((line) => line.startsWith('  '))?.trim()
  return `${scenario?.slice(0, -7) ?? `exit ${code}`}: ${violation ?? lines.slice(-5).join(' ')}`
}

async function runTests(copy: string, file: string): Promise<string | undefined> {
  const vitest = join(copy, 'node_modules', 'vitest', 'vitest.mjs')
  const project = file.startsWith('test/sim/') ? 'sim' : 'unit'
  const [code, lines] = await run(copy, [vitest, 'run', '--project', project, file])
  if (code === 0) return undefined
  const failed = lines.find((line) => line.includes('FAIL'))
  return `${file}: ${failed?.split(' > ').slice(1).join(' > ') ?? `exit ${code}`}`
}

async function notice(
  copy: string,
  { scenario, test }: Mutation,
  seeds: string,
): Promise<string | undefined> {
  if (test !== undefined) return await runTests(copy, test)
  if (scenario !== undefined) return await simulate(copy, ['--scenario', scenario])
  const bySeed = await simulate(copy, ['--seeds', seeds])
  return bySeed ?? (await simulate(copy, ['--scenario', 'all']))
}

async function attempt(mutation: Mutation, seeds: string): Promise<Noticed> {
  const copy = makeCopy()
  try {
    const { name, also } = mutation
    for (const patch of [mutation, also ?? []].flat()) mutate(copy, name, patch)
    return { mutation, by: await notice(copy, mutation, seeds) }
  } finally {
    rmSync(copy, { recursive: true })
  }
}

function row({ mutation, by }: Noticed): string {
  const cell = (text: string) => text.replaceAll('|', '\\|').slice(0, 160)
  return `| ${mutation.name} | ${by === undefined ? '**not noticed**' : cell(by)} |\n`
}

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '300' },
    workers: { type: 'string', default: '2' },
    only: { type: 'string', default: '' },
  },
})
const queue = MUTATIONS.filter(({ name }) => name.includes(values.only))
const noticed: Noticed[] = []
await Promise.all(
  Array.from({ length: Number(values.workers) }, async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const result = await attempt(next, values.seeds)
      noticed.push(result)
      process.stdout.write(row(result))
    }
  }),
)
const survived = noticed.filter(({ by }) => by === undefined).length
process.stdout.write(`${noticed.length - survived} of ${noticed.length} noticed\n`)
process.exitCode = survived === 0 ? 0 : 1

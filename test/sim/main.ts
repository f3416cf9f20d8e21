/**
 * `npm run sim`: runs seeds of whole simulated clusters, or one named scenario.
 *
 *   --seeds 1000   how many          --start 1     the first of them
 *   --workers 2    threads           --twice       each seed twice, which must agree
 *   --trace        print everything that happened, of failing seeds and of a single one
 *   --first        stop at the first seed that fails
 *   --scenario x   a scenario in place of seeds, or `all`; `list` names them
 */
import process from 'node:process'
import { parseArgs } from 'node:util'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { realCode } from './real-code.ts'
import { runSeed } from './run-seed.ts'
import { SCENARIOS } from './scenarios/all.ts'
import { runScenario } from './scenarios/scenario.ts'

interface Options {
  readonly seeds: number
  readonly start: number
  readonly workers: number
  readonly twice: boolean
  readonly trace: boolean
  readonly first: boolean
  readonly scenario: string | undefined
}

/** What a worker tells of one seed. */
interface Report {
  readonly seed: number
  readonly violations: readonly string[]
  readonly written: number
  readonly refused: number
  readonly unknown: number
  readonly virtualMs: number
  readonly realMs: number
  readonly text: string | undefined
}

/** So many of the last events of a failing seed are shown. */
const LAST_EVENTS = 60
const SEEDS_PER_THREAD = 50
/** After so many it says how far it is. */
const SEEDS_TOLD = 500

function optionsOf(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seeds: { type: 'string', default: '100' },
      start: { type: 'string', default: '1' },
      workers: { type: 'string', default: '1' },
      twice: { type: 'boolean', default: false },
      trace: { type: 'boolean', default: false },
      first: { type: 'boolean', default: false },
      scenario: { type: 'string' },
    },
  })
  const { twice, trace, first, scenario } = values
  const [seeds, start, workers] = [values.seeds, values.start, values.workers].map(Number)
  for (const count of [seeds, start, workers]) {
    if (!Number.isSafeInteger(count) || (count as number) < 1) throw new Error('not a count')
  }
  return {
    seeds: seeds as number,
    start: start as number,
    workers: workers as number,
    twice,
    trace,
    first,
    scenario,
  }
}

async function report(seed: number, options: Options): Promise<Report> {
  const startedMs = performance.now()
  const result = await runSeed(seed, realCode)
  const violations = [...result.violations]
  const realMs = performance.now() - startedMs
  if (options.twice) {
    const again = await runSeed(seed, realCode)
    if (again.hash !== result.hash) {
      violations.push(`not deterministic: ${result.hash}, then ${again.hash}`)
    }
  }
  const isShown = violations.length > 0 || options.seeds === 1
  const text = isShown ? result.trace.text(options.trace ? undefined : LAST_EVENTS) : undefined
  const { written, refused, unknown, virtualMs } = result
  return { seed, violations, written, refused, unknown, virtualMs, realMs, text }
}

class Summary {
  readonly failed: number[] = []
  #seeds = 0
  #written = 0
  #refused = 0
  #unknown = 0
  #virtualMs = 0
  #realMs = 0

  add(one: Report): void {
    this.#seeds++
    this.#written += one.written
    this.#refused += one.refused
    this.#unknown += one.unknown
    this.#virtualMs += one.virtualMs
    this.#realMs += one.realMs
    if (one.text !== undefined) print(one.text)
    if (one.violations.length > 0) {
      this.failed.push(one.seed)
      print(`seed ${one.seed} FAILED:`)
      for (const violation of one.violations) print(`  ${violation}`)
    }
    if (this.#seeds % SEEDS_TOLD === 0) {
      print(`${this.#seeds} seeds so far, ${this.failed.length} failed`)
    }
  }

  print(): void {
    const requests = `${this.#written} records written, ${this.#refused} refused, ${this.#unknown} unknown`
    const hours = (this.#virtualMs / 3_600_000).toFixed(1)
    const each = (this.#realMs / Math.max(1, this.#seeds)).toFixed(0)
    print(`${this.#seeds} seeds, ${requests}, ${hours} hours of virtual time, ${each} ms a seed`)
    const failed = this.failed.toSorted((a, b) => a - b)
    print(failed.length === 0 ? 'all hold' : `${failed.length} failed: ${failed.join(' ')}`)
  }
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

/** A share of the seeds, for one thread. */
interface Share {
  readonly options: Options
  readonly first: number
  readonly count: number
}

async function runShare({ options, first, count }: Share, done: (one: Report) => void) {
  for (let seed = first; seed < first + count; seed++) {
    const one = await report(seed, options)
    done(one)
    if (options.first && one.violations.length > 0) return
  }
}

/** What nodes that died were waiting for is never let go, so that a thread is used for some seeds only. */
async function runInThreads(options: Options, done: (one: Report) => boolean): Promise<void> {
  let next = options.start
  const end = options.start + options.seeds
  let isOver = false
  const work = async () => {
    while (next < end && !isOver) {
      const count = Math.min(SEEDS_PER_THREAD, end - next)
      const share: Share = { options, first: next, count }
      next += count
      const thread = new Worker(new URL(import.meta.url), { workerData: share })
      thread.on('message', (one: Report) => {
        isOver ||= !done(one)
      })
      await new Promise<void>((resolve, reject) => {
        thread.on('error', reject)
        thread.on('exit', () => resolve())
      })
    }
  }
  await Promise.all(Array.from({ length: options.workers }, work))
}

async function runScenarios(asked: string, options: Options): Promise<boolean> {
  const names = asked === 'all' ? [...SCENARIOS.keys()] : [asked]
  let hold = true
  for (const name of names) {
    const scenario = SCENARIOS.get(name)
    if (scenario === undefined) {
      print([...SCENARIOS.keys()].join('\n'))
      return asked === 'list'
    }
    const { violations, trace } = await runScenario(scenario, realCode)
    if (options.trace) print(trace.text())
    for (const violation of violations) print(`  ${violation}`)
    print(violations.length === 0 ? `${name} holds` : `${name} FAILED`)
    hold &&= violations.length === 0
    if (!hold && options.first) return false
  }
  return hold
}

async function main(): Promise<void> {
  if (!isMainThread) {
    const port = parentPort
    await runShare(workerData, (one) => port?.postMessage(one))
    return
  }
  const options = optionsOf(process.argv.slice(2))
  if (options.scenario !== undefined) {
    process.exitCode = (await runScenarios(options.scenario, options)) ? 0 : 1
    return
  }
  const summary = new Summary()
  await runInThreads(options, (one) => {
    summary.add(one)
    return !options.first || one.violations.length === 0
  })
  summary.print()
  process.exitCode = summary.failed.length === 0 ? 0 : 1
}

await main()

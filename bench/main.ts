/** `npm run bench`: measures every row of the targets and writes RESULTS.md. */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Bench, ExtraTable, Family } from './lib/bench.ts'
import { describeMachine } from './lib/machine.ts'
import type { Measurement } from './lib/measurement.ts'
import { markdown, terminalTable } from './lib/report.ts'
import { Stage } from './lib/stage.ts'
import { machineTimes, ownSeconds } from './lib/usage.ts'
import { clusterPartitions } from './rows/cluster-partitions.ts'
import { clusterProduce } from './rows/cluster-produce.ts'
import { failover } from './rows/failover.ts'
import { fanOut } from './rows/fan-out.ts'
import { clusterGroups, groups } from './rows/groups.ts'
import { ingest } from './rows/ingest.ts'
import { latency } from './rows/latency.ts'
import { longPoll } from './rows/long-poll.ts'
import { peers } from './rows/peers.ts'
import { produce } from './rows/produce.ts'
import { profiles } from './rows/profiles.ts'
import { read } from './rows/read.ts'
import { recovery } from './rows/recovery.ts'

const STANDALONE: readonly Family[] = [
  produce,
  latency,
  ingest,
  read,
  fanOut,
  longPoll,
  groups,
  peers,
  recovery,
  profiles,
]

const CLUSTER: readonly Family[] = [clusterProduce, clusterPartitions, clusterGroups, failover]

const HELP = `npm run bench -- [options]
  --cluster       the rows of a cluster, with three storage nodes, a front and etcd
  --rows 1,2,16   only these rows (16 means 16a and 16b; "profiles" is the table of profiles)
  --rounds 5      measured rounds of each side
  --seconds 2     length of a round, whole seconds
  --quick         a smoke run: 2 rounds of 1 s, smaller logs and crowds
  --data DIR      where temp data goes; must be on the disk to be measured (default ${tmpdir()})
  --out FILE      where the results go (default bench/RESULTS.md, with --cluster
                  bench/RESULTS-cluster.md, after a whole run, else nowhere)
Needs Linux, two cores, wrk (Debian: apt install wrk), taskset (util-linux), and etcd (etcd-server)
for a cluster.`

interface Settings {
  readonly families: readonly Family[]
  readonly rows: readonly string[] | undefined
  readonly rounds: number
  readonly seconds: number
  readonly quick: boolean
  readonly data: string
  readonly out: string | undefined
}

process.exitCode = await main()

async function main(): Promise<number> {
  let settings: Settings | undefined
  try {
    settings = readSettings()
    requireTools(settings?.families === CLUSTER)
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    return 2
  }
  if (settings === undefined) {
    console.log(HELP)
    return 0
  }
  return run(settings)
}

async function run(settings: Settings): Promise<number> {
  const stage = new Stage(settings.data)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      void stage.close().finally(() => process.exit(130))
    })
  }
  const measurements: Measurement[] = []
  const tables: ExtraTable[] = []
  const failures: { name: string; message: string }[] = []
  const before = machineTimes()
  const bench: Bench = {
    stage,
    plan: {
      rounds: settings.rounds,
      seconds: settings.seconds,
      progress: (line) => console.error(line),
    },
    quick: settings.quick,
    wants: (row) =>
      settings.rows?.some((wanted) => row === wanted || row.replace(/[a-z]$/, '') === wanted) ??
      true,
    addTable: (table) => tables.push(table),
  }
  for (const family of settings.families.filter(({ rows }) => rows.some(bench.wants))) {
    try {
      measurements.push(...(await family.measure(bench)))
    } catch (error) {
      const message = error instanceof Error ? String(error.stack) : String(error)
      failures.push({ name: family.name, message })
      console.error(`${family.name} failed: ${message}`)
    }
  }
  await stage.close()
  const after = machineTimes()
  const all = after.all - before.all
  const busy = all - (after.idle - before.idle) - (after.steal - before.steal)
  const report = {
    machine: describeMachine(settings.data),
    stealPercent: ((after.steal - before.steal) / all) * 100,
    othersPercent: Math.max(0, (busy - ownSeconds()) / all) * 100,
    rounds: settings.rounds,
    seconds: settings.seconds,
    date: new Date().toISOString().slice(0, 10),
    measurements,
    tables,
    failures,
  }
  console.log(terminalTable(measurements))
  for (const { title, columns, lines } of tables) {
    console.log(
      [`\n${title}`, columns.join('\t'), ...lines.map((line) => line.join('\t'))].join('\n'),
    )
  }
  const noise = `steal ${report.stealPercent.toFixed(1)} %, other processes ${report.othersPercent.toFixed(0)} % of the machine`
  console.log(`\n${noise}`)
  if (settings.out !== undefined) {
    writeFileSync(settings.out, markdown(report))
    console.log(`written to ${settings.out}`)
  }
  return failures.length === 0 ? 0 : 1
}

function requireTools(isCluster: boolean): void {
  const needed = { wrk: 'wrk', taskset: 'util-linux', ...(isCluster && { etcd: 'etcd-server' }) }
  for (const [tool, debianPackage] of Object.entries(needed)) {
    const { error } = spawnSync(tool, ['--version'])
    if (error !== undefined) throw new Error(`${tool} is needed: apt install ${debianPackage}`)
  }
}

/** Undefined when help is wanted. */
function readSettings(): Settings | undefined {
  const { values } = parseArgs({
    options: {
      cluster: { type: 'boolean', default: false },
      rows: { type: 'string' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      data: { type: 'string', default: tmpdir() },
      out: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return undefined
  const families = values.cluster ? CLUSTER : STANDALONE
  const rows = values.rows?.split(',').map((row) => row.trim())
  for (const row of rows ?? []) {
    const known = families.some((family) =>
      family.rows.some((each) => each.replace(/[a-z]$/, '') === row || each === row),
    )
    if (!known) throw new Error(`no row ${row}; see --help`)
  }
  const whole = rows === undefined && !values.quick
  const results = values.cluster ? 'RESULTS-cluster.md' : 'RESULTS.md'
  return {
    families,
    rows,
    rounds: wholeNumber('rounds', values.rounds ?? (values.quick ? '2' : '5')),
    seconds: wholeNumber('seconds', values.seconds ?? (values.quick ? '1' : '2')),
    quick: values.quick,
    data: values.data,
    out: values.out ?? (whole ? fileURLToPath(new URL(results, import.meta.url)) : undefined),
  }
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1)
    throw new Error(`--${name} must be a whole number from 1`)
  return value
}

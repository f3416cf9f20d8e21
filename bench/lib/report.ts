/** The results as a table for people: on the terminal while it runs, as Markdown when it is done. */
import type { ExtraTable } from './bench.ts'
import type { Machine } from './machine.ts'
import type { Figure, Measurement } from './measurement.ts'
import { TARGETS, target, verdict } from './targets.ts'

export interface Report {
  readonly machine: Machine
  readonly stealPercent: number
  /** Of all cores; other processes make every figure worse, and not evenly. */
  readonly othersPercent: number
  readonly rounds: number
  readonly seconds: number
  readonly date: string
  readonly measurements: readonly Measurement[]
  readonly tables: readonly ExtraTable[]
  readonly failures: readonly { readonly name: string; readonly message: string }[]
}

/** Others may use so much before the report warns. */
const QUIET_PERCENT = 5

const COLUMNS = ['row', 'what', 'gate', 'stretch', 'today (min..max)', 'ours', 'theirs', 'verdict']

/** The results in the order of the rows, as cells. */
export function cells(measurements: readonly Measurement[]): string[][] {
  return inOrder(measurements).map((measurement) => {
    const { row, value, ours, theirs } = measurement
    const bound = target(row)
    const sign = bound.better === 'higher' ? '≥' : '≤'
    return [
      row,
      bound.what,
      Number.isFinite(bound.gate) ? `${sign} ${withUnit(bound.gate, bound.unit)}` : 'none',
      `${sign} ${withUnit(bound.stretch, bound.unit)}`,
      `**${withUnit(value.median, bound.unit)}** (${round(value.min)}..${round(value.max)})`,
      figureText(ours),
      theirs === undefined ? '' : figureText(theirs),
      verdict(bound, value.median),
    ]
  })
}

export function terminalTable(measurements: readonly Measurement[]): string {
  const lines = [COLUMNS, ...cells(measurements)].map((line) =>
    line.map((cell) => cell.replaceAll('**', '')),
  )
  const widths = COLUMNS.map((_, column) =>
    Math.max(...lines.map((line) => (line[column] as string).length)),
  )
  return lines
    .map((line) => line.map((cell, column) => cell.padEnd(widths[column] as number)).join('  '))
    .join('\n')
}

export function markdown(report: Report): string {
  const { machine } = report
  const limits = inOrder(report.measurements).map(({ row, limit }) => `- **${row}** ${limit}.`)
  return [
    '# Benchmark results',
    '',
    `Written by \`npm run bench\` on ${report.date}; do not edit. What each row means and how it is`,
    'measured: [README.md](README.md). Every ratio is the median over the rounds of ours / theirs,',
    `both sides taking turns in the same run: ${report.rounds} rounds of ${report.seconds} s after a warm-up.`,
    'Absolute figures are medians too and hold for this machine in these minutes only.',
    '',
    `Machine: ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGib} GiB, kernel ${machine.kernel},`,
    `Node ${machine.node}, data on ${machine.disk}. Over the run steal was ${report.stealPercent.toFixed(1)} %, and other processes`,
    `used ${report.othersPercent.toFixed(0)} % of the machine${report.othersPercent > QUIET_PERCENT ? ': too much for these figures to be trusted' : ''}.`,
    '',
    ...markdownTable(COLUMNS, cells(report.measurements)),
    '',
    '## What limits each row',
    '',
    'Shares are of one core, medians over the rounds.',
    '',
    ...limits,
    ...report.tables.flatMap((table) => [
      '',
      `## ${table.title}`,
      '',
      table.note,
      '',
      ...markdownTable(table.columns, table.lines),
    ]),
    ...report.failures.flatMap(({ name, message }) => [
      '',
      `## Not measured: ${name}`,
      '',
      '```',
      message,
      '```',
    ]),
    '',
  ].join('\n')
}

function inOrder(measurements: readonly Measurement[]): Measurement[] {
  const order = new Map(TARGETS.map(({ row }, index) => [row, index]))
  return measurements.toSorted((a, b) => (order.get(a.row) ?? 0) - (order.get(b.row) ?? 0))
}

function markdownTable(
  columns: readonly string[],
  lines: readonly (readonly string[])[],
): string[] {
  const line = (parts: readonly string[]) => `| ${parts.join(' | ')} |`
  return [line(columns), line(columns.map(() => '---')), ...lines.map(line)]
}

function figureText({ name, value, unit }: Figure): string {
  return `${name}: ${unit === '/s' ? thousands(value) : `${round(value)} `}${unit}`
}

function withUnit(value: number, unit: string): string {
  return unit === '' ? round(value) : `${round(value)} ${unit}`
}

function thousands(value: number): string {
  return value >= 1000 ? `${round(value / 1000)}k` : round(value)
}

function round(value: number): string {
  return value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)))
}

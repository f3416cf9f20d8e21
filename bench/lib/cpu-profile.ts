/** Self time per function from V8's .cpuprofile files. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface SelfTime {
  readonly where: string
  /** Share (0..1) of the time in which the thread was not idle. */
  readonly share: number
}

export interface ThreadProfile {
  readonly file: string
  /** Share (0..1) of the recorded time in which the thread was not idle. */
  readonly busy: number
  readonly functions: readonly SelfTime[]
}

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: {
      readonly functionName: string
      readonly url: string
      readonly lineNumber: number
    }
  }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** No sample is worth more: a longer gap is a thread that slept in the kernel. */
const LONGEST_DELTA_US = 10_000

/** One profile per thread that ended in an orderly way. */
export function readProfiles(directory: string): ThreadProfile[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith('.cpuprofile'))
    .map((name) => summarize(name, JSON.parse(readFileSync(join(directory, name), 'utf8'))))
}

function summarize(file: string, profile: CpuProfile): ThreadProfile {
  const names = new Map(profile.nodes.map(({ id, callFrame }) => [id, label(callFrame)]))
  const selfUs = new Map<string, number>()
  let allUs = 0
  for (const [index, id] of profile.samples.entries()) {
    const deltaUs = Math.min(LONGEST_DELTA_US, profile.timeDeltas[index] ?? 0)
    const name = names.get(id) ?? '?'
    selfUs.set(name, (selfUs.get(name) ?? 0) + deltaUs)
    allUs += deltaUs
  }
  const busyUs = allUs - (selfUs.get('(idle)') ?? 0)
  selfUs.delete('(idle)')
  return {
    file,
    busy: busyUs / allUs,
    functions: [...selfUs]
      .map(([where, us]) => ({ where, share: us / busyUs }))
      .toSorted((a, b) => b.share - a.share),
  }
}

function label(frame: CpuProfile['nodes'][number]['callFrame']): string {
  const name = frame.functionName === '' ? '(anonymous)' : frame.functionName
  if (frame.url === '') return name
  const path = frame.url.startsWith('file://')
    ? relative(ROOT, fileURLToPath(frame.url))
    : frame.url
  return `${name} ${path}:${frame.lineNumber + 1}`
}

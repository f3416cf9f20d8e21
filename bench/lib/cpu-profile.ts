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
  /** The same by folder of ours, package, or part of Node. */
  readonly parts: readonly SelfTime[]
}

interface Frame {
  readonly functionName: string
  readonly url: string
  readonly lineNumber: number
}

interface CpuProfile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: Frame }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** No sample is worth more: a longer gap is a thread that slept in the kernel. */
const LONGEST_DELTA_US = 10_000

/** One profile per thread that ended in an orderly way, of its last seconds: without the start. */
export function readProfiles(directory: string, lastSeconds: number): ThreadProfile[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith('.cpuprofile'))
    .map((name) =>
      summarize(name, JSON.parse(readFileSync(join(directory, name), 'utf8')), lastSeconds * 1e6),
    )
}

function summarize(file: string, profile: CpuProfile, lastUs: number): ThreadProfile {
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]))
  const functionUs = new Map<string, number>()
  const partUs = new Map<string, number>()
  let remainingUs = profile.timeDeltas.reduce((sum, deltaUs) => sum + deltaUs, 0)
  let allUs = 0
  let busyUs = 0
  for (const [index, id] of profile.samples.entries()) {
    const frame = frames.get(id)
    const wholeDeltaUs = profile.timeDeltas[index] ?? 0
    remainingUs -= wholeDeltaUs
    if (frame === undefined || remainingUs > lastUs) continue
    const deltaUs = Math.min(LONGEST_DELTA_US, wholeDeltaUs)
    allUs += deltaUs
    if (frame.functionName === '(idle)') continue
    busyUs += deltaUs
    add(functionUs, label(frame), deltaUs)
    add(partUs, partOf(frame), deltaUs)
  }
  const shares = (us: Map<string, number>) =>
    [...us]
      .map(([where, each]) => ({ where, share: each / busyUs }))
      .toSorted((a, b) => b.share - a.share)
  return { file, busy: busyUs / allUs, functions: shares(functionUs), parts: shares(partUs) }
}

function add(sums: Map<string, number>, name: string, us: number): void {
  sums.set(name, (sums.get(name) ?? 0) + us)
}

function partOf({ functionName, url }: Frame): string {
  if (url === '') return functionName.startsWith('(') ? functionName : `native ${functionName}`
  if (url.startsWith('node:')) return url.split('/').slice(0, 2).join('/')
  const path = pathOf(url)
  const dependency = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)
  return dependency?.[1] ?? path.split('/').slice(0, 2).join('/')
}

function pathOf(url: string): string {
  return url.startsWith('file://') ? relative(ROOT, fileURLToPath(url)) : url
}

function label(frame: Frame): string {
  const name = frame.functionName === '' ? '(anonymous)' : frame.functionName
  if (frame.url === '') return name
  return `${name} ${pathOf(frame.url)}:${frame.lineNumber + 1}`
}

/** Processor time and memory of processes and of the machine, as the Linux kernel counts them. */
import { readFileSync } from 'node:fs'
import type { Sample } from './sample.ts'

/** The kernel shows times to user space in hundredths of a second on every architecture we run on. */
const TICK_SECONDS = 0.01

interface Usage {
  readonly processSeconds: number
  readonly mainThreadSeconds: number
  readonly machineSeconds: number
  readonly machineIdleSeconds: number
  readonly atSeconds: number
}

/** Runs a round and adds what the server process used meanwhile; needs `perSecond` for the cost of each. */
export async function withUsage<S extends Sample>(
  pid: number,
  run: () => Promise<S>,
): Promise<S & Sample> {
  const before = usageOf(pid)
  const sample = await run()
  const after = usageOf(pid)
  const seconds = after.atSeconds - before.atSeconds
  const processSeconds = after.processSeconds - before.processSeconds
  const each = sample.perSecond === undefined ? undefined : sample.perSecond * seconds
  return {
    ...sample,
    mainThread: (after.mainThreadSeconds - before.mainThreadSeconds) / seconds,
    serverCores: processSeconds / seconds,
    idle:
      (after.machineIdleSeconds - before.machineIdleSeconds) /
      (after.machineSeconds - before.machineSeconds),
    ...(each === undefined ? {} : { cpuMicros: (processSeconds / each) * 1e6 }),
  }
}

export function residentKib(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  if (line === null) throw new Error(`no resident size of process ${pid}`)
  return Number(line[1])
}

/** Machine-wide seconds since boot by kind. */
export function machineTimes(): { all: number; idle: number; steal: number } {
  const first = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0] as string
  const fields = first.trim().split(/\s+/).slice(1, 9).map(Number) as number[]
  const [, , , idle = 0, ioWait = 0, , , steal = 0] = fields
  const all = fields.reduce((sum, ticks) => sum + ticks, 0)
  return {
    all: all * TICK_SECONDS,
    idle: (idle + ioWait) * TICK_SECONDS,
    steal: steal * TICK_SECONDS,
  }
}

/** Seconds of processor time that this process and its children that have ended used. */
export function ownSeconds(): number {
  const [, , , , , , , , , , , user, system, childUser, childSystem] = statFields('/proc/self/stat')
  return (Number(user) + Number(system) + Number(childUser) + Number(childSystem)) * TICK_SECONDS
}

/** Seconds of processor time of all threads of a process, since it started. */
export function cpuSecondsOf(pid: number): number {
  return cpuSeconds(`/proc/${pid}/stat`)
}

function usageOf(pid: number): Usage {
  const machine = machineTimes()
  return {
    processSeconds: cpuSeconds(`/proc/${pid}/stat`),
    mainThreadSeconds: cpuSeconds(`/proc/${pid}/task/${pid}/stat`),
    machineSeconds: machine.all,
    machineIdleSeconds: machine.idle,
    atSeconds: performance.now() / 1000,
  }
}

function cpuSeconds(path: string): number {
  const [, , , , , , , , , , , user, system] = statFields(path)
  return (Number(user) + Number(system)) * TICK_SECONDS
}

/** From the third field on: the command before it, in parentheses, may itself hold spaces. */
function statFields(path: string): string[] {
  const text = readFileSync(path, 'utf8')
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}

/** What the figures were taken on. */
import { readFileSync, statSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGib: number
  readonly kernel: string
  readonly node: string
  readonly disk: string
}

export function describeMachine(dataDirectory: string): Machine {
  const cores = cpus()
  return {
    cpu: cores[0]?.model ?? 'unknown processor',
    cores: cores.length,
    memoryGib: Math.round(totalmem() / 1024 ** 3),
    kernel: release(),
    node: process.version,
    disk: fileSystemOf(dataDirectory),
  }
}

/** Type and device of the file system that holds the path, as /proc/self/mountinfo names them. */
function fileSystemOf(path: string): string {
  const { dev } = statSync(path, { bigint: true })
  const id = `${Number(dev >> 8n) & 0xfff}:${Number(dev & 0xffn) | (Number(dev >> 12n) & 0xfff00)}`
  const mount = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .find((line) => line.split(' ')[2] === id)
  const [type, device] = mount?.split(' - ')[1]?.split(' ') ?? []
  return type === undefined ? 'an unknown file system' : `${type} on ${device}`
}

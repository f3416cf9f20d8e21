/** The commands that look at data while no node uses them. */
import { exit, stdout } from 'node:process'
import { ConfigError } from '../config/setting-value.ts'
import { NodeFileSystem } from '../env/node-file-system.ts'
import { SystemClock } from '../env/system-clock.ts'
import { SystemRandom } from '../env/system-random.ts'
import { createTextLogger } from '../env/text-logger.ts'

const APPLY = '--apply'

/** Ends the process with the command's exit code. */
export async function runOffline(
  command: 'dump' | 'repair',
  args: readonly string[],
): Promise<never> {
  const path = onlyPath(command, args)
  const clock = new SystemClock()
  const fileSystem = new NodeFileSystem()
  const write = (line: string) => stdout.write(`${line}\n`)
  if (command === 'dump') {
    const { dump } = await import('../cli/dump.ts')
    exit(await dump({ fileSystem, write }, path))
  }
  const { repair } = await import('../cli/repair.ts')
  const logger = createTextLogger({ clock, level: 'info', write: (line) => stdout.write(line) })
  exit(
    await repair(
      { fileSystem, write, clock, logger, random: new SystemRandom() },
      { dataDirectory: path, apply: args.includes(APPLY) },
    ),
  )
}

/** @throws ConfigError when there is not exactly one path */
function onlyPath(command: 'dump' | 'repair', args: readonly string[]): string {
  const known = command === 'repair' ? [APPLY] : []
  const words = args.filter((arg) => !known.includes(arg))
  const unknown = words.find((word) => word.startsWith('-'))
  if (unknown !== undefined) throw new ConfigError(`unknown flag ${unknown} of curlew ${command}`)
  const [path, surplus] = words
  if (path === undefined) {
    const what = command === 'dump' ? 'the file to print' : 'the data folder'
    throw new ConfigError(`curlew ${command} needs ${what}`)
  }
  if (surplus !== undefined) throw new ConfigError(`unexpected word: ${surplus}`)
  return path
}

/** The commands that look at data while no node uses them. */
import { exit, stdout } from 'node:process'
import { parseArgs } from 'node:util'
import { ConfigError } from '../config/setting-value.ts'
import { NodeFileSystem } from '../env/node-file-system.ts'
import { SystemClock } from '../env/system-clock.ts'
import { SystemRandom } from '../env/system-random.ts'
import { createTextLogger } from '../env/text-logger.ts'

const REPAIR_FLAGS = {
  data: { type: 'string' },
  apply: { type: 'boolean' },
  'rebuild-metadata': { type: 'boolean' },
} as const

/** Ends the process with the command's exit code. */
export async function runOffline(
  command: 'dump' | 'repair',
  args: readonly string[],
): Promise<never> {
  const { path, apply, rebuildMetadata } = parseOffline(command, args)
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
      { dataDirectory: path, apply, rebuildMetadata },
    ),
  )
}

interface OfflineArguments {
  readonly path: string
  readonly apply: boolean
  readonly rebuildMetadata: boolean
}

interface RepairValues {
  data?: string
  apply?: boolean
  'rebuild-metadata'?: boolean
}

/** @throws ConfigError when there is not exactly one path, or a flag that the command does not know */
function parseOffline(command: 'dump' | 'repair', args: readonly string[]): OfflineArguments {
  const options = command === 'repair' ? REPAIR_FLAGS : {}
  let parsed: { values: RepairValues; positionals: string[] }
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true })
  } catch (cause) {
    throw new ConfigError(`curlew ${command}: ${(cause as Error).message.split('. ')[0]}`, {
      cause,
    })
  }
  const { data, apply = false, 'rebuild-metadata': rebuildMetadata = false } = parsed.values
  const [path, surplus] = data === undefined ? parsed.positionals : [data, ...parsed.positionals]
  if (path === undefined) {
    const what = command === 'dump' ? 'the file to print' : 'the data folder, with --data'
    throw new ConfigError(`curlew ${command} needs ${what}`)
  }
  if (surplus !== undefined) throw new ConfigError(`unexpected word: ${surplus}`)
  return { path, apply, rebuildMetadata }
}

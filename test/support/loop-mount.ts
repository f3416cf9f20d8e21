/**
 * A small ext4 file system of its own, whose power can be cut: what was not synced is gone after it
 * is mounted again. Needs root and loop devices; `loopMountObstacle` says what is missing.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Linux, include/uapi/linux/fs.h and fs/ext4/ext4.h: FS_IOC_SHUTDOWN and its flag NOLOGFLUSH. */
const FS_IOC_SHUTDOWN = 0x80_04_58_7d
const NO_LOG_FLUSH = 2

const run = (command: string, ...args: string[]): string =>
  execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })

export class LoopMount {
  readonly path: string
  readonly #directory: string
  readonly #image: string

  constructor(sizeBytes: number) {
    this.#directory = mkdtempSync(join(tmpdir(), 'curlew-loop-'))
    this.#image = join(this.#directory, 'image')
    this.path = join(this.#directory, 'mount')
    mkdirSync(this.path)
    writeFileSync(this.#image, '')
    truncateSync(this.#image, sizeBytes)
    run('mkfs.ext4', '-q', '-F', this.#image)
  }

  mount(): void {
    run('mount', '-o', 'loop', this.#image, this.path)
  }

  unmount(): void {
    const isMounted = readFileSync('/proc/mounts', 'utf8').includes(` ${this.path} `)
    if (isMounted) run('umount', this.path)
  }

  /** From now on the file system fails every call; what was not on the disk never will be. */
  cutPower(): void {
    run(
      'perl',
      '-e',
      'open my $d, "<", $ARGV[0] or die $!; my $f = pack "L", $ARGV[2]; ioctl $d, $ARGV[1], $f or die $!',
      this.path,
      String(FS_IOC_SHUTDOWN),
      String(NO_LOG_FLUSH),
    )
  }

  remove(): void {
    this.unmount()
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

/** Why this machine cannot mount and cut a file system; undefined when it can. */
export function loopMountObstacle(): string | undefined {
  let mount: LoopMount | undefined
  try {
    mount = new LoopMount(16 * 1024 * 1024)
    mount.mount()
    mount.cutPower()
    return
  } catch (error) {
    return error instanceof Error ? error.message.trim() : String(error)
  } finally {
    mount?.remove()
  }
}

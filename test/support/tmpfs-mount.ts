/** A memory file system of a fixed size, to run full. Needs root; `tmpfsObstacle` says what is missing. */
import { execFileSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export class TmpfsMount {
  readonly path: string

  constructor(sizeBytes: number) {
    this.path = mkdtempSync(join(tmpdir(), 'curlew-tmpfs-'))
    try {
      this.#mount(`size=${sizeBytes}`)
    } catch (error) {
      rmSync(this.path, { recursive: true })
      throw error
    }
  }

  resize(sizeBytes: number): void {
    this.#mount(`remount,size=${sizeBytes}`)
  }

  /** Takes all that is left, as another program would. */
  fill(): void {
    const file = openSync(join(this.path, 'other'), 'w')
    try {
      const bytes = new Uint8Array(4096)
      for (;;) writeSync(file, bytes)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    } finally {
      closeSync(file)
    }
  }

  remove(): void {
    execFileSync('umount', [this.path], { stdio: 'pipe' })
    rmSync(this.path, { recursive: true, force: true })
  }

  #mount(options: string): void {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', this.path], { stdio: 'pipe' })
  }
}

/** Why this machine cannot mount one; undefined when it can. */
export function tmpfsObstacle(): string | undefined {
  try {
    new TmpfsMount(1024 * 1024).remove()
    return
  } catch (error) {
    return error instanceof Error ? error.message.trim() : String(error)
  }
}

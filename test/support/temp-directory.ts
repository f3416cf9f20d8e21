/** Temporary folders of tests: made under the system's own, removed with all that is in them. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface TempDirectory {
  readonly path: string
  remove(): Promise<void>
}

export async function makeTempDirectory(label = 'test'): Promise<TempDirectory> {
  const path = await mkdtemp(join(tmpdir(), `curlew-${label}-`))
  return { path, remove: () => rm(path, { recursive: true, force: true }) }
}

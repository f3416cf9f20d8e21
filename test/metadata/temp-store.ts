/** An embedded store on a temporary folder, with a follower, for tests of what stands on them. */
import { join } from 'node:path'
import { nullLogger } from '../../src/env/logger.ts'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import { ensureCluster, registerOnlyNode } from '../../src/metadata/cluster-bootstrap.ts'
import type { EmbeddedStoreOptions } from '../../src/metadata/embedded-store.ts'
import { EmbeddedStore } from '../../src/metadata/embedded-store.ts'
import { MetadataFollower } from '../../src/metadata/metadata-follower.ts'
import { SimClock } from '../sim/sim-clock.ts'
import { makeTempDirectory } from '../support/temp-directory.ts'

export async function makeTempStore(options: Partial<EmbeddedStoreOptions> = {}) {
  const directory = await makeTempDirectory('metadata')
  const clock = new SimClock()
  const random = new SeededRandom(7)
  const onFatal = (error: Error) => {
    throw error
  }
  const store = EmbeddedStore.open(
    { clock, onFatal },
    { path: join(directory.path, 'metadata.db'), createIfMissing: true, ...options },
  )
  return {
    store,
    clock,
    random,
    close: async () => {
      await store.close()
      await directory.remove()
    },
  }
}

export async function makeFollowedStore(options: Partial<EmbeddedStoreOptions> = {}) {
  const base = await makeTempStore(options)
  await ensureCluster(base)
  await registerOnlyNode(base.store, 0, { url: 'http://127.0.0.1:8080', rack: 'here' })
  const follower = new MetadataFollower({ ...base, logger: nullLogger })
  await follower.start()
  return {
    ...base,
    follower,
    close: async () => {
      await follower.close()
      await base.close()
    },
  }
}

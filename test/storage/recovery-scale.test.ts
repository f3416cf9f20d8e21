/** Ten thousand partitions on a real disk: few descriptors, quick to open. */
import { afterEach, expect, test } from 'vitest'
import { nullLogger } from '../../src/env/logger.ts'
import { NodeFileSystem } from '../../src/env/node-file-system.ts'
import { SystemClock } from '../../src/env/system-clock.ts'
import { SystemRandom } from '../../src/env/system-random.ts'
import { ReplicaManager } from '../../src/replication/replica-manager.ts'
import { NEVER, readAll, request, TestMetadata, valuesOf } from '../replication/replica-harness.ts'
import type { TempDirectory } from '../support/temp-directory.ts'
import { makeTempDirectory } from '../support/temp-directory.ts'

const PARTITIONS = 10_000
const OPEN_FILES_MAX = 200

let directory: TempDirectory | undefined
afterEach(() => directory?.remove())

test('ten thousand partitions need no ten thousand descriptors', async () => {
  directory = await makeTempDirectory('scale')
  const metadata = new TestMetadata()
  const topicId = metadata.put('t', {}, PARTITIONS)
  const fatal: unknown[] = []
  const deps = () => ({
    fileSystem: new NodeFileSystem(),
    clock: new SystemClock(),
    random: new SystemRandom(),
    logger: nullLogger,
    metadata,
    onFatal: (error: unknown) => fatal.push(error),
  })
  const options = {
    dataDirectory: `${directory.path}/data`,
    nodeId: 1,
    ballastBytes: 0,
    minFreeBytes: 0,
    maxOpenFiles: OPEN_FILES_MAX,
    journal: { fileBytes: 16 * 1024 * 1024 },
  }
  let manager = await ReplicaManager.open(deps(), options)
  const written = Array.from({ length: OPEN_FILES_MAX * 2 }, (_, i) => i * 20)
  const answers = manager.append(
    written.map((partition) => request(topicId, [`p${partition}`], { partition })),
    NEVER,
  )
  for (const answer of answers) expect(await answer).toMatchObject({ ok: true })
  await manager.close()
  manager = await ReplicaManager.open(deps(), options)
  expect([...manager.replicas]).toHaveLength(PARTITIONS)
  expect(manager.storage.openFiles).toBe(0)
  for (const partition of written) {
    expect(valuesOf(await readAll(manager, topicId, 0, partition))).toEqual([`p${partition}`])
    expect(manager.storage.openFiles).toBeLessThanOrEqual(OPEN_FILES_MAX)
  }
  expect(manager.storage.openFiles).toBe(OPEN_FILES_MAX)
  await manager.close()
  expect(fatal).toEqual([])
})

/** The nodes of Curlew on a simulated world: the same code as in a real cluster, with small files. */
import { nullMetrics } from '../../src/env/metrics.ts'
import { Groups } from '../../src/front/groups/groups.ts'
import { PartitionElections } from '../../src/front/partition-elections.ts'
import { ClusterFront } from '../../src/nodes/cluster-front.ts'
import { StorageNode } from '../../src/nodes/storage-node.ts'
import type {
  ClusterCode,
  FrontUnderTest,
  ProcessWorld,
  StorageUnderTest,
  StorageWorld,
} from './cluster-code.ts'
import { viewsOf } from './replica-views.ts'

const NEVER = new AbortController().signal
const SECRET = 'a secret of the simulated cluster'
/** How long a node that is stopped in good order may take to hand over what it leads. */
const DRAIN_MS = 10_000

/** Small enough that a few records roll segments and fill journal files. */
const STORAGE = {
  maxUnwrittenBytes: 256 * 1024,
  maxJournalBytes: 512 * 1024,
  ballastBytes: 0,
  minFreeBytes: 0,
  checkpointIntervalMs: 5_000,
  retentionIntervalMs: 2_000,
  journal: { fileBytes: 64 * 1024, groupBytes: 16 * 1024, spareFilesMax: 2 },
} as const

async function startStorage(world: StorageWorld): Promise<StorageUnderTest> {
  const { nodeId, rack, acceptEmptyData, memoryBytes, clock } = world
  const node = await StorageNode.start(
    {
      nodeId,
      rack,
      dataDirectory: '/data',
      secret: SECRET,
      acceptEmptyData,
      replicaLagMaxMs: 4_000,
      storage: { ...STORAGE, memoryBytes },
    },
    { ...world, listen: world.listen, onFatal: world.onFatal, metrics: nullMetrics },
    NEVER,
  )
  return {
    replicas: () => viewsOf(node.manager),
    stop: async () => {
      const late = new AbortController()
      const timer = clock.timer(DRAIN_MS, () => late.abort())
      await node.drain(late.signal)
      timer.cancel()
      await node.stop()
    },
  }
}

async function startFront(
  world: ProcessWorld,
  seeds: readonly string[],
  rack: string,
): Promise<FrontUnderTest> {
  const options = { seeds, rack, secret: SECRET, autoCreateTopics: false, offsetsPartitions: 2 }
  const deps = { ...worldOf(world), metrics: nullMetrics }
  const front = await ClusterFront.start(options, deps, NEVER)
  const { storage, metadata, groups: service } = front
  return {
    front: front.front,
    topics: front.topics,
    groups: new Groups({ ...deps, storage, metadata, service }),
    elections: new PartitionElections({
      ...worldOf(world),
      store: front.store,
      view: metadata,
    }),
    metadata,
    stop: () => front.stop(),
  }
}

/** As a process is an object of a class, its members have to be named. */
function worldOf({ clock, random, logger, transport }: ProcessWorld): ProcessWorld {
  return { clock, random, logger, transport }
}

export const realCode: ClusterCode = { startStorage, startFront }

/** The cluster and its nodes, as the metadata of the node that answers has them. */
import { ServiceError } from '../../lib/service-error.ts'
import type { MetadataImage, MetadataView, NodeImage } from '../../metadata/metadata-image.ts'
import { Cluster, ClusterNode, GoneNode, Node, NodeParams } from '../../wire/cluster.ts'
import { Problem } from '../../wire/problem.ts'
import { ref } from '../../wire/schema.ts'
import type { App } from '../app.ts'
import { registerSchemas } from '../route-rules.ts'

export interface ClusterRoutesDeps {
  readonly metadata: MetadataView
  /** Id of the node that now is the controller, -1 for none. */
  readonly controller: () => number
  readonly softwareVersion: string
}

const TAGS = ['cluster']
const problem = { default: ref(Problem) }

export function clusterRoutes(app: App, deps: ClusterRoutesDeps): void {
  registerSchemas(app, ClusterNode, GoneNode, Cluster, Node)
  app.get(
    '/v1/cluster',
    {
      schema: {
        operationId: 'getCluster',
        summary: 'Describe the cluster',
        tags: TAGS,
        response: { 200: ref(Cluster), ...problem },
      },
    },
    async () => clusterView(deps),
  )
  app.get(
    '/v1/nodes/:node',
    {
      schema: {
        operationId: 'getNode',
        summary: 'Describe a node',
        tags: TAGS,
        params: NodeParams,
        response: { 200: ref(Node), ...problem },
      },
    },
    async (request) => nodeView(deps, request.params.node),
  )
}

function clusterView({ metadata, controller, softwareVersion }: ClusterRoutesDeps): Cluster {
  const { image } = metadata
  const { partitionCount, shares } = survey(image)
  const gone = [...image.members].filter(([id]) => !image.nodes.has(id))
  return {
    clusterId: image.clusterId,
    softwareVersion,
    metadataVersion: image.version,
    controller: controller(),
    nodes: [...image.nodes.values()]
      .sort((a, b) => a.id - b.id)
      .map((node) => nodeMembers(node, controller(), shares)),
    goneNodes: gone
      .sort(([a], [b]) => a - b)
      .map(([id, { rack }]) => ({ id, rack, replicaCount: shares.get(id)?.replicaCount ?? 0 })),
    topicCount: image.topics.size,
    partitionCount,
  }
}

function nodeView({ metadata, controller }: ClusterRoutesDeps, id: number): Node {
  const { image } = metadata
  const node = image.nodes.get(id)
  if (node !== undefined) return nodeMembers(node, controller(), survey(image).shares)
  const detail = image.members.has(id) ? `node ${id} is not up` : `there is no node ${id}`
  throw new ServiceError('node-not-found', detail)
}

function nodeMembers(node: NodeImage, controller: number, shares: Shares): ClusterNode {
  const { id, url, rack, incarnation, draining, diskFull, version } = node
  return {
    id,
    url,
    rack,
    incarnation,
    state: draining ? 'draining' : 'up',
    ...(diskFull && { diskFull }),
    ...(version !== undefined && { version }),
    isController: controller === id,
    ...(shares.get(id) ?? { leaderCount: 0, replicaCount: 0 }),
  }
}

/** What each node leads and holds. */
type Shares = ReadonlyMap<number, { readonly leaderCount: number; readonly replicaCount: number }>

function survey(image: MetadataImage): { partitionCount: number; shares: Shares } {
  const shares = new Map<number, { leaderCount: number; replicaCount: number }>()
  const shareOf = (id: number) => {
    let share = shares.get(id)
    if (share === undefined) {
      share = { leaderCount: 0, replicaCount: 0 }
      shares.set(id, share)
    }
    return share
  }
  let partitionCount = 0
  for (const topic of image.topics.values()) {
    partitionCount += topic.partitions.length
    for (const { leader, replicas } of topic.partitions) {
      if (leader !== -1) shareOf(leader).leaderCount++
      for (const id of replicas) shareOf(id).replicaCount++
    }
  }
  return { partitionCount, shares }
}

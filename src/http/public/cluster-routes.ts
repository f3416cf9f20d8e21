/** The cluster and its nodes, as the metadata of the node that answers has them. */
import { ServiceError } from '../../lib/service-error.ts'
import type { MetadataImage, MetadataView, NodeImage } from '../../metadata/metadata-image.ts'
import { Cluster, ClusterNode, Node, NodeParams } from '../../wire/cluster.ts'
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
  registerSchemas(app, ClusterNode, Cluster, Node)
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
  let partitionCount = 0
  for (const topic of image.topics.values()) partitionCount += topic.partitions.length
  return {
    clusterId: image.clusterId,
    softwareVersion,
    metadataVersion: image.version,
    controller: controller(),
    nodes: [...image.nodes.values()].sort((a, b) => a.id - b.id).map(nodeMembers),
    topicCount: image.topics.size,
    partitionCount,
  }
}

function nodeView({ metadata, controller }: ClusterRoutesDeps, id: number): Node {
  const { image } = metadata
  const node = image.nodes.get(id)
  if (node === undefined) throw new ServiceError('node-not-found', `no node ${id} is up`)
  return { ...nodeMembers(node), isController: controller() === id, ...partitionsOf(image, id) }
}

function nodeMembers({ id, url, rack, incarnation }: NodeImage): ClusterNode {
  return { id, url, rack, incarnation }
}

function partitionsOf(image: MetadataImage, id: number) {
  let [leaderCount, replicaCount] = [0, 0]
  for (const topic of image.topics.values()) {
    for (const { leader, replicas } of topic.partitions) {
      if (leader === id) leaderCount++
      if (replicas.includes(id)) replicaCount++
    }
  }
  return { leaderCount, replicaCount }
}

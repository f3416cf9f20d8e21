/** Answers about the cluster and its nodes. */
import type { Static } from 'typebox'
import { Type } from 'typebox'
import { Int64, ref } from './schema.ts'

export const ClusterNode = Type.Object(
  {
    id: Type.Integer({ minimum: 0 }),
    url: Type.String({ description: 'Where the node is reached.' }),
    rack: Type.String({ description: 'Nodes of one rack fail together.' }),
    incarnation: Int64({ description: 'Another number after every start of the node.' }),
    state: Type.Unsafe<'up' | 'draining'>({
      type: 'string',
      enum: ['up', 'draining'],
      description: '`draining`: about to stop, and leads nothing new.',
    }),
    diskFull: Type.Optional(
      Type.Boolean({
        description: 'True while its disk is full: it leads only what no other can.',
      }),
    ),
    version: Type.Optional(Type.String({ description: 'Version of its software.' })),
    isController: Type.Boolean({ description: 'Whether it elects leaders now.' }),
    leaderCount: Type.Integer({ minimum: 0, description: 'Partitions that the node leads.' }),
    replicaCount: Type.Integer({ minimum: 0, description: 'Partitions that the node holds.' }),
  },
  { $id: 'ClusterNode' },
)
export type ClusterNode = Static<typeof ClusterNode>

export const GoneNode = Type.Object(
  {
    id: Type.Integer({ minimum: 0 }),
    rack: Type.String(),
    replicaCount: Type.Integer({ minimum: 0, description: 'Partitions that it should hold.' }),
  },
  { $id: 'GoneNode', description: 'A node that belongs to the cluster and is not up.' },
)
export type GoneNode = Static<typeof GoneNode>

export const Cluster = Type.Object(
  {
    clusterId: Type.String(),
    softwareVersion: Type.String({ description: 'Version of the node that answers.' }),
    metadataVersion: Int64({ description: 'Grows with every change of the metadata.' }),
    controller: Type.Integer({ minimum: -1, description: 'Id of the controller; -1 for none.' }),
    nodes: Type.Array(ref(ClusterNode), { description: 'Nodes that are up.' }),
    goneNodes: Type.Array(ref(GoneNode), {
      description: 'Nodes that belong to the cluster and are not up.',
    }),
    topicCount: Type.Integer({ minimum: 0 }),
    partitionCount: Type.Integer({ minimum: 0 }),
  },
  { $id: 'Cluster' },
)
export type Cluster = Static<typeof Cluster>

export const Node = Type.Object({ ...ClusterNode.properties }, { $id: 'Node' })
export type Node = Static<typeof Node>

export const NodeParams = Type.Object({
  node: Type.Integer({ minimum: 0, maximum: 999_999_999, description: 'Id of the node.' }),
})

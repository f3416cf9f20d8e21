import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { App } from '../../src/http/app.ts'
import { clusterRoutes } from '../../src/http/public/cluster-routes.ts'
import { nodeKey, nodeRegistryKey } from '../../src/metadata/metadata-keys.ts'
import { encodeRecord } from '../../src/metadata/metadata-records.ts'
import { makeFollowedStore } from '../metadata/temp-store.ts'
import { NEVER, partitionPuts, topicId, topicPut } from '../metadata/topic-fixtures.ts'
import { testApp } from './test-app.ts'

const registry = { directoryId: 'd', rack: 'there', createdAtMs: 0 }

describe('cluster routes', () => {
  let base: Awaited<ReturnType<typeof makeFollowedStore>>
  let app: App

  beforeEach(async () => {
    base = await makeFollowedStore()
    const { revision } = await base.store.transact({
      compare: [],
      put: [
        {
          key: nodeKey(11),
          value: encodeRecord({
            url: 'http://b',
            rack: 'there',
            version: '1.2.4',
            draining: true,
            diskFull: true,
          }),
        },
        ...[11, 12].map((id) => ({ key: nodeRegistryKey(id), value: encodeRecord(registry) })),
        ...partitionPuts(topicId(1), 3),
        topicPut('a', topicId(1), 3),
      ],
    })
    await base.follower.waitForVersion(revision, NEVER)
    app = testApp()
    clusterRoutes(app, { metadata: base.follower, controller: () => 0, softwareVersion: '1.2.3' })
  })
  afterEach(async () => {
    await app.close()
    await base.close()
  })

  const get = async (url: string) => {
    const answer = await app.inject({ method: 'GET', url })
    return { status: answer.statusCode, body: answer.json() }
  }

  test('the cluster', async () => {
    const { image } = base.follower
    const { status, body } = await get('/v1/cluster')
    expect(status).toBe(200)
    expect(body).toEqual({
      clusterId: image.clusterId,
      softwareVersion: '1.2.3',
      metadataVersion: image.version,
      controller: 0,
      nodes: [
        {
          id: 0,
          url: 'http://127.0.0.1:8080',
          rack: 'here',
          incarnation: image.nodes.get(0)?.incarnation,
          state: 'up',
          isController: true,
          leaderCount: 3,
          replicaCount: 3,
        },
        {
          id: 11,
          url: 'http://b',
          rack: 'there',
          incarnation: image.version,
          state: 'draining',
          diskFull: true,
          version: '1.2.4',
          isController: false,
          leaderCount: 0,
          replicaCount: 0,
        },
      ],
      goneNodes: [{ id: 12, rack: 'there', replicaCount: 0 }],
      topicCount: 1,
      partitionCount: 3,
    })
    expect(body.clusterId).toMatch(/^[0-9a-f]{32}$/)
  })

  test('a node, with what it holds', async () => {
    expect((await get('/v1/nodes/0')).body).toMatchObject({
      id: 0,
      isController: true,
      leaderCount: 3,
      replicaCount: 3,
    })
    expect((await get('/v1/nodes/11')).body).toMatchObject({
      id: 11,
      isController: false,
      leaderCount: 0,
      replicaCount: 0,
    })
  })

  test('no such node', async () => {
    expect(await get('/v1/nodes/1')).toMatchObject({
      status: 404,
      body: { code: 'node-not-found', detail: 'there is no node 1' },
    })
    expect(await get('/v1/nodes/12')).toMatchObject({
      status: 404,
      body: { code: 'node-not-found', detail: 'node 12 is not up' },
    })
    expect(await get('/v1/nodes/x')).toMatchObject({
      status: 400,
      body: { code: 'invalid-parameter' },
    })
  })
})

/** The cluster and its nodes, and what other versions have but this one has not. */
import { describe, expect, it } from 'vitest'
import type { Method } from '../support/http-client.ts'
import type { Api } from './api.ts'

interface Cluster {
  readonly clusterId: string
  readonly nodes: readonly { readonly id: number; readonly state: string }[]
  readonly goneNodes: readonly { readonly id: number }[]
}

export function describeCluster(api: Api): void {
  describe('cluster', () => {
    it('names itself and its nodes, each of which can be asked for', async () => {
      const answer = await api.call('GET', '/v1/cluster')
      expect(answer.status, answer.text).toBe(200)
      const { clusterId, nodes, goneNodes } = answer.json<Cluster>()
      expect(clusterId).toMatch(/\S/)
      expect(nodes.length).toBeGreaterThanOrEqual(1)
      for (const { id } of goneNodes) {
        api.expectProblem(await api.call('GET', `/v1/nodes/${id}`), 'node-not-found')
      }
      for (const node of nodes) {
        const described = await api.call('GET', `/v1/nodes/${node.id}`)
        expect(described.status, described.text).toBe(200)
        expect(described.json()).toMatchObject({ id: node.id })
        expect(['up', 'draining']).toContain(node.state)
      }
    })

    it('answers 404 for a node that is not there', async () => {
      api.expectProblem(await api.call('GET', '/v1/nodes/4000000'), 'node-not-found')
      api.expectProblem(await api.call('GET', '/v1/nodes/x'), 'invalid-parameter')
    })

    it.each<[Method, string]>([
      ['POST', '/v1/producers'],
      ['POST', '/v1/transactions'],
      ['POST', '/v1/transactions/atomic'],
      ['GET', '/v1/nothing'],
      ['GET', '/v2/topics'],
      ['GET', '/v1'],
      ['GET', '/v1/topics/a/b/c'],
    ])('answers 404 for %s %s', async (method, path) => {
      const body =
        method === 'POST' ? { body: '{}', headers: { 'content-type': 'application/json' } } : {}
      api.expectProblem(await api.call(method, path, body), 'route-not-found')
    })
  })
}

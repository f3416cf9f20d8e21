/** Ports of storage nodes serve nobody who does not know the secret: 401, and not a word more than why. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { PATHS } from '../../src/internal/paths.ts'
import { CurlewCluster, clusterObstacle } from '../support/curlew-cluster.ts'
import { runCommand } from '../support/curlew-process.ts'
import { describeIfPossible } from '../support/describe-if-possible.ts'
import { call } from '../support/http-client.ts'

const TOPIC = 'closed'

describeIfPossible('strangers', clusterObstacle(), () => {
  let cluster: CurlewCluster

  beforeAll(async () => {
    cluster = await CurlewCluster.start({ label: 'strangers', fronts: 1 })
    await cluster.ensureTopic(TOPIC, { partitions: 1 })
  })
  afterAll(() => cluster.close())

  const curl = async (...args: string[]): Promise<{ status: number; body: string }> => {
    const { stdout } = await runCommand(['curl', '-s', '-w', '\n%{http_code}', ...args])
    const end = stdout.lastIndexOf('\n')
    return { status: Number(stdout.slice(end + 1)), body: stdout.slice(0, end) }
  }

  it.each(Object.values(PATHS))('%s is 401 without a signature', async (path) => {
    const { url } = { url: cluster.node(1).process.baseUrl }
    const bare = await curl('-d', '{"after":0,"waitMs":0}', `${url}${path}`)
    expect(bare.status).toBe(401)
    expect(JSON.parse(bare.body)).toEqual({
      code: 'bad-signature',
      detail: expect.any(String),
      committed: 'no',
    })
    expect(bare.body).not.toContain(TOPIC)
    const forged = await curl(
      ...['-H', 'curlew-protocol: 1', '-H', 'curlew-cluster: *', '-H', 'curlew-node: front'],
      ...['-H', 'curlew-incarnation: 0', '-H', 'curlew-target: 0', '-H', 'curlew-deadline: 1000'],
      ...['-H', `curlew-auth: ${Date.now()}.${'0'.repeat(24)}.1.AAAA.${'A'.repeat(43)}`],
      ...['-d', '{"after":0,"waitMs":0}', `${url}${path}`],
    )
    expect(forged.status).toBe(401)
    expect(forged.body).not.toContain(TOPIC)
  })

  it.each(['GET', 'PUT', 'DELETE', 'OPTIONS'] as const)('%s tells nothing', async (method) => {
    for (const path of ['/', '/i/v1/metadata', '/v1/topics', '/metrics']) {
      const answer = await call(cluster.node(1).process.baseUrl, method, path)
      expect(answer.status).toBe(405)
      expect(answer.text).toBe('')
    }
  })

  it('probes and metrics are on a port of their own, and take no other calls', async () => {
    const { probeUrl } = cluster.node(1).process
    expect((await call(probeUrl, 'GET', '/readyz')).status).toBe(200)
    expect((await call(probeUrl, 'GET', '/metrics')).text).toContain('curlew_controller_epoch')
    for (const path of Object.values(PATHS)) {
      expect((await call(probeUrl, 'POST', path, { body: '{}' })).status).toBe(404)
    }
  })
})

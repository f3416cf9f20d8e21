/** A cluster keeps every promise that a single process keeps: the same suite, through the proxy that spreads calls over fronts. */
import process from 'node:process'
import { afterAll, beforeAll } from 'vitest'
import { describeConformance } from '../conformance/describe-conformance.ts'
import { CurlewCluster, clusterObstacle } from '../support/curlew-cluster.ts'
import { describeIfPossible } from '../support/describe-if-possible.ts'
import { Haproxy, haproxyObstacle } from '../support/haproxy.ts'

/** `0` or `1`: not through the proxy, but at that front. */
const FRONT = process.env['CLUSTER_FRONT']

describeIfPossible('conformance of a cluster', clusterObstacle() ?? haproxyObstacle(), () => {
  let cluster: CurlewCluster
  let proxy: Haproxy

  beforeAll(async () => {
    cluster = await CurlewCluster.start({ label: 'conformance' })
    const [first = '', second = ''] = cluster.urls
    proxy = await Haproxy.start([first, second])
  })
  afterAll(async () => {
    proxy.close()
    await cluster.close()
  })

  const front = (): string => cluster.urls[Number(FRONT ?? 0)] ?? ''
  describeConformance(() => (FRONT === undefined ? proxy.url : front()), front)
})

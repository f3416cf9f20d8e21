import { expect, test } from 'vitest'
import { PromMetrics } from '../../src/env/prom-metrics.ts'
import { measureLease } from '../../src/nodes/cluster-metrics.ts'
import { SimClock } from '../sim/sim-clock.ts'

test('the age of a lease grows until it is renewed, and says when there is none', async () => {
  const clock = new SimClock()
  const metrics = new PromMetrics()
  let renewedMs: number | undefined
  measureLease(metrics, clock, () => renewedMs)
  expect(await metrics.text()).toContain('curlew_lease_age_seconds -1')
  renewedMs = clock.monotonicMs()
  await clock.runFor(2_500)
  expect(await metrics.text()).toContain('curlew_lease_age_seconds 2.5')
})

import { expect, test } from 'vitest'
import { PromMetrics } from '../../src/env/prom-metrics.ts'
import { ProduceMeter } from '../../src/front/produce-meter.ts'
import { AppendMeter } from '../../src/replication/append-meter.ts'

test('batches are measured by stage, in seconds', async () => {
  const metrics = new PromMetrics()
  new ProduceMeter(metrics).batch(2, 30)
  const text = await metrics.text()
  expect(text).toContain('curlew_produce_batch_seconds_sum{stage="queue"} 0.002')
  expect(text).toContain('curlew_produce_batch_seconds_sum{stage="storage"} 0.03')
})

test('appends are measured by what they waited for, and not at all if for nothing', async () => {
  const metrics = new PromMetrics()
  const meter = new AppendMeter(metrics)
  meter.appended(-1, 4)
  meter.appended(1, 1)
  meter.appended(0, 100)
  const text = await metrics.text()
  expect(text).toContain('curlew_append_seconds_sum{until="committed"} 0.004')
  expect(text).toContain('curlew_append_seconds_sum{until="durable"} 0.001')
})

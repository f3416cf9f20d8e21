import { expect, test } from 'vitest'
import { PromMetrics } from '../../src/env/prom-metrics.ts'

test('renders counters, gauges and histograms with their labels', async () => {
  const metrics = new PromMetrics()
  metrics.counter('appends_total', 'Appends.', { acks: 'all' }).increment()
  metrics.counter('appends_total', 'Appends.', { acks: 'one' }).increment(3)
  let depth = 4
  metrics.gauge('queue_depth', 'Depth.', () => depth)
  let sizes = [{ labels: { topic: 'a' }, value: 1 }]
  metrics.gaugeOf('topic_bytes', 'Bytes.', ['topic'], () => sizes)
  metrics.histogram('sync_seconds', 'Sync.', [0.1, 1]).observe(0.5)
  await metrics.text()
  depth = 5
  sizes = [{ labels: { topic: 'b' }, value: 2 }]
  const lines = (await metrics.text()).split('\n')
  expect(lines).toEqual(
    expect.arrayContaining([
      'appends_total{acks="all"} 1',
      'appends_total{acks="one"} 3',
      'queue_depth 5',
      'topic_bytes{topic="b"} 2',
      'sync_seconds_bucket{le="0.1"} 0',
      'sync_seconds_bucket{le="1"} 1',
    ]),
  )
  expect(lines.some((line) => line.includes('topic="a"'))).toBe(false)
  expect(lines.some((line) => line.startsWith('process_cpu_seconds_total'))).toBe(true)
})

test('a histogram counts each value in all buckets that it fits', async () => {
  const metrics = new PromMetrics()
  const histogram = (until: string) =>
    metrics.histogram('append_seconds', 'Appends.', [0.25, 1, 4], { until })
  const durable = histogram('durable')
  for (const seconds of [0.25, 0.5, 1.5]) durable.observe(seconds)
  histogram('durable').observe(9)
  histogram('committed').observe(2)
  const lines = (await metrics.text()).split('\n')
  const start = lines.indexOf('# HELP append_seconds Appends.')
  expect(lines.slice(start, start + 14)).toEqual([
    '# HELP append_seconds Appends.',
    '# TYPE append_seconds histogram',
    'append_seconds_bucket{le="0.25",until="durable"} 1',
    'append_seconds_bucket{le="1",until="durable"} 2',
    'append_seconds_bucket{le="4",until="durable"} 3',
    'append_seconds_bucket{le="+Inf",until="durable"} 4',
    'append_seconds_sum{until="durable"} 11.25',
    'append_seconds_count{until="durable"} 4',
    'append_seconds_bucket{le="0.25",until="committed"} 0',
    'append_seconds_bucket{le="1",until="committed"} 0',
    'append_seconds_bucket{le="4",until="committed"} 1',
    'append_seconds_bucket{le="+Inf",until="committed"} 1',
    'append_seconds_sum{until="committed"} 2',
    'append_seconds_count{until="committed"} 1',
  ])
})

test('two instances do not share anything', async () => {
  const metrics = new PromMetrics()
  metrics.counter('only_here_total', 'One.').increment()
  expect(await new PromMetrics().text()).not.toContain('only_here_total')
})

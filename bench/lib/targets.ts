/** What Curlew is to reach: one line per row, gate and stretch as ratios of one interleaved run. */

export interface Target {
  readonly row: string
  readonly what: string
  /** Unit of gate, stretch and value; '' is a plain ratio. */
  readonly unit: '' | 'ms' | 's' | '%' | 'µs' | 'KiB' | 's/GiB'
  readonly better: 'higher' | 'lower'
  readonly gate: number
  readonly stretch: number
  readonly pinned: boolean
}

const UNPINNED = { pinned: false, unit: '', better: 'higher' } as const
const PINNED = { pinned: true, unit: '', better: 'higher' } as const

export const TARGETS: readonly Target[] = [
  {
    ...UNPINNED,
    row: '1',
    what: 'durable produce, 1 KiB, 64 connections / bare fastify POST of the same size',
    gate: 0.5,
    stretch: 0.7,
  },
  { ...UNPINNED, row: '2', what: 'the same at 256 connections', gate: 0.6, stretch: 0.75 },
  {
    ...UNPINNED,
    row: '5',
    what: 'durable acknowledgement, 1 connection: p50 minus p50 of write + fdatasync of 4 KiB (recycled file)',
    unit: 'ms',
    better: 'lower',
    gate: 0.4,
    stretch: 0.25,
  },
  {
    ...UNPINNED,
    row: '6',
    what: 'p99 / p50 of produce at half of its own maximum rate, open loop',
    better: 'lower',
    gate: 10,
    stretch: 5,
  },
  {
    ...UNPINNED,
    row: '7',
    what: 'durable ingest of 100 x 1 KiB NDJSON, 16 connections / same server with the disk off',
    gate: 0.45,
    stretch: 0.6,
  },
  {
    ...UNPINNED,
    row: '8',
    what: 'the same in MB/s / 1 MiB write + fdatasync, growing file',
    gate: 0.6,
    stretch: 0.8,
  },
  {
    ...UNPINNED,
    row: '9',
    what: 'the same in MB/s / 1 MiB write + fdatasync, recycled file',
    gate: 0.25,
    stretch: 0.4,
  },
  {
    ...UNPINNED,
    row: '10a',
    what: 'ingest in MB/s: NDJSON / one opaque payload of 100 KiB',
    gate: 0.8,
    stretch: 0.9,
  },
  { ...UNPINNED, row: '10b', what: 'the same: JSON array / NDJSON', gate: 0.75, stretch: 0.9 },
  {
    ...UNPINNED,
    row: '11',
    what: 'records per second in batches of 100 / one by one (64 connections)',
    gate: 8,
    stretch: 14,
  },
  {
    ...UNPINNED,
    row: '12a',
    what: 'processor time of a durable record sent by itself',
    unit: 'µs',
    better: 'lower',
    gate: 50,
    stretch: 37,
  },
  {
    ...UNPINNED,
    row: '12b',
    what: 'processor time of a durable record in a batch of 100 (NDJSON)',
    unit: 'µs',
    better: 'lower',
    gate: 4,
    stretch: 2.2,
  },
  {
    ...PINNED,
    row: '13a',
    what: 'read of 64 records of 1 KiB at the tail / node:http with a memory slice as long',
    gate: 0.7,
    stretch: 0.8,
  },
  { ...PINNED, row: '13b', what: 'the same with 1,024 records', gate: 0.85, stretch: 1 },
  {
    ...PINNED,
    row: '14',
    what: 'read of 64 records of 1 KiB from the file, page cache warm / from the memory tail',
    gate: 0.5,
    stretch: 0.65,
  },
  {
    ...PINNED,
    row: '15',
    what: '1,000 SSE subscribers, one event per publish / raw socket.write of a shared buffer',
    gate: 0.75,
    stretch: 0.95,
  },
  {
    ...PINNED,
    row: '16a',
    what: '1,000 SSE subscribers, bursts of 10 events / own rate one by one',
    gate: 5,
    stretch: 7,
  },
  {
    ...PINNED,
    row: '16b',
    what: '1,000 SSE subscribers, bursts of 10 events / raw write of the coalesced burst',
    gate: 0.65,
    stretch: 0.9,
  },
  {
    ...PINNED,
    row: '17a',
    what: '10,000 SSE subscribers: resident memory per connection',
    unit: 'KiB',
    better: 'lower',
    gate: 25,
    stretch: 17,
  },
  {
    ...PINNED,
    row: '17b',
    what: '10,000 SSE subscribers: publish to client p99, 8 events/s',
    unit: 'ms',
    better: 'lower',
    gate: 300,
    stretch: 180,
  },
  {
    ...PINNED,
    row: '18',
    what: 'long-poll wake with 1,000 waiters: p50 / bare node:http hold and release',
    better: 'lower',
    gate: 1.3,
    stretch: 1,
  },
  {
    ...UNPINNED,
    row: '19',
    what: 'durable produce, 1 KiB, 64 connections / durable-streams on files, one stream',
    gate: 20,
    stretch: 40,
  },
  {
    ...UNPINNED,
    row: '20',
    what: 'the same: p99 / p99',
    better: 'lower',
    gate: 1 / 4,
    stretch: 1 / 8,
  },
  {
    ...UNPINNED,
    row: '21',
    what: 'the same rate / durable-streams in memory (nothing durable)',
    gate: 0.8,
    stretch: 1.5,
  },
  {
    ...UNPINNED,
    row: '24',
    what: 'durable batch of 100 KiB, 16 connections, MB/s / durable-streams on files',
    gate: 5,
    stretch: 12,
  },
  {
    ...PINNED,
    row: '25a',
    what: '1,000 SSE subscribers, one event per publish, MB/s / durable-streams on files',
    gate: 5,
    stretch: 7,
  },
  { ...PINNED, row: '25b', what: 'the same / durable-streams in memory', gate: 0.9, stretch: 1.5 },
  {
    ...PINNED,
    row: '25c',
    what: 'the same, 10 publishes at once / durable-streams in memory',
    gate: 0.9,
    stretch: 1.5,
  },
  {
    ...UNPINNED,
    row: '31a',
    what: 'recovery after kill -9: seconds beyond an empty start per GiB of log',
    unit: 's/GiB',
    better: 'lower',
    gate: 2,
    stretch: 0.5,
  },
  {
    ...UNPINNED,
    row: '31b',
    what: 'recovery with the whole log / with a quarter of it (1 = independent of its size)',
    better: 'lower',
    gate: 4,
    stretch: 1.25,
  },
  {
    ...UNPINNED,
    row: '3',
    what: 'durable produce, 1 KiB, 256 connections: front + storage / all in one process',
    gate: 0.6,
    stretch: 0.85,
  },
  {
    ...UNPINNED,
    row: '4',
    what: 'the same with 3 replicas and acks=all / with one',
    gate: 0.45,
    stretch: 0.65,
  },
  {
    ...UNPINNED,
    row: '26',
    what: 'writes of etcd per produced record',
    better: 'lower',
    gate: 0.001,
    stretch: 0.0001,
  },
  {
    ...UNPINNED,
    row: '27',
    what: 'acks=all through a front, 3 replicas, 1 connection: p50 / (2 syncs + 3 HTTP hops)',
    better: 'lower',
    gate: 2,
    stretch: 1.3,
  },
  {
    ...UNPINNED,
    row: '28a',
    what: 'produce with 1,000 partitions / with 1',
    gate: 0.8,
    stretch: 0.95,
  },
  { ...UNPINNED, row: '28b', what: 'the same with 10,000 partitions', gate: 0.6, stretch: 0.9 },
  {
    ...UNPINNED,
    row: '29',
    what: 'first acknowledged produce after kill -9 of the leader, beyond the detection time set',
    unit: 's',
    better: 'lower',
    gate: 1,
    stretch: 0.2,
  },
  {
    ...UNPINNED,
    row: '30',
    what: 'leaders of 5,000 partitions moved after kill -9 of a node, beyond the detection time set',
    unit: 's',
    better: 'lower',
    gate: 10,
    stretch: 2,
  },
  {
    ...UNPINNED,
    row: '32',
    what: 'idle storage node with 1,000 partitions and 2 followers: share of a core',
    unit: '%',
    better: 'lower',
    gate: 5,
    stretch: 1,
  },
  {
    ...UNPINNED,
    row: '33a',
    what: 'processor time per record in batches of 100, 3 replicas: the front',
    unit: 'µs',
    better: 'lower',
    gate: Number.POSITIVE_INFINITY,
    stretch: 4,
  },
  {
    ...UNPINNED,
    row: '33b',
    what: 'the same: the three storage nodes together',
    unit: 'µs',
    better: 'lower',
    gate: Number.POSITIVE_INFINITY,
    stretch: 6,
  },
  {
    ...UNPINNED,
    row: '34a',
    what: 'commits of one group, 64 connections / produce of the same size with acks=all',
    gate: 0.9,
    stretch: 1,
  },
  {
    ...UNPINNED,
    row: '34b',
    what: 'the same: p99 of a produce / of a commit',
    gate: 0.9,
    stretch: 1,
  },
  {
    ...UNPINNED,
    row: '35',
    what: 'pages of some 64 records read as a member / read plainly, any page, in MB/s',
    gate: 0.9,
    stretch: 1,
  },
  {
    ...UNPINNED,
    row: '36a',
    what: 'one of 6 members with 12 partitions leaves: until others read all of its partitions',
    unit: 's',
    better: 'lower',
    gate: 1,
    stretch: 0.1,
  },
  {
    ...UNPINNED,
    row: '36b',
    what: 'the same: longest pause of a partition that does not move, minus that before',
    unit: 'ms',
    better: 'lower',
    gate: 50,
    stretch: 10,
  },
  {
    ...UNPINNED,
    row: '37a',
    what: 'commits of one group, 64 connections / produce with acks=all, through a front to three replicas',
    gate: 0.9,
    stretch: 1,
  },
  {
    ...UNPINNED,
    row: '37b',
    what: 'the same: p99 of a produce / of a commit',
    gate: 0.9,
    stretch: 1,
  },
]

export type Verdict = 'stretch' | 'gate' | 'below gate'

export function target(row: string): Target {
  const found = TARGETS.find((candidate) => candidate.row === row)
  if (found === undefined) throw new Error(`no target has the row ${row}`)
  return found
}

export function verdict({ better, gate, stretch }: Target, value: number): Verdict {
  const reaches = (bound: number) => (better === 'higher' ? value >= bound : value <= bound)
  if (reaches(stretch)) return 'stretch'
  return reaches(gate) ? 'gate' : 'below gate'
}

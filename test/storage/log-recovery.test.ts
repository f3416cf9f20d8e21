/** Recovery from journals that no node has written like that: frames by hand. */
import { expect, test } from 'vitest'
import type { TopicId } from '../../src/core/ids.ts'
import { stampBatch } from '../../src/core/record-batch.ts'
import type { CheckpointedLog } from '../../src/storage/checkpoint.ts'
import { writeCheckpoint } from '../../src/storage/checkpoint.ts'
import { DataDirectory } from '../../src/storage/data-directory.ts'
import { Journal } from '../../src/storage/journal.ts'
import {
  encodeCreation,
  encodeEpochStart,
  encodeOffset,
  FRAME,
} from '../../src/storage/journal-frames.ts'
import { LogManager } from '../../src/storage/log-manager.ts'
import { STORAGE_DEFAULTS } from '../../src/storage/storage-options.ts'
import {
  batchOf,
  DATA,
  NEVER,
  ReplicaHarness,
  recordsOf,
  SMALL,
} from '../replication/replica-harness.ts'

const TOPIC_ID = 'a'.repeat(32) as TopicId
type Frame = readonly [kind: number, logId: number, payload: Uint8Array]

const OPTIONS = {
  ...STORAGE_DEFAULTS,
  ...SMALL,
  dataDirectory: DATA,
  clusterId: 'test-cluster',
  nodeId: 1,
}

const create: Frame = [
  FRAME.create,
  1,
  encodeCreation({ topicId: TOPIC_ID, topicName: 't', partition: 0, flush: 'commit' }),
]

function records(baseOffset: number, count: number, leaderEpoch = 0): Frame {
  const batch = batchOf(Array.from({ length: count }, (_, i) => `${baseOffset + i}/${leaderEpoch}`))
  stampBatch(batch, { baseOffset, leaderEpoch })
  return [FRAME.append, 1, batch]
}

const truncate = (endOffset: number): Frame => [FRAME.truncate, 1, encodeOffset(endOffset)]
const logStart = (startOffset: number): Frame => [FRAME.logStart, 1, encodeOffset(startOffset)]
const epochStart = (leaderEpoch: number, startOffset: number): Frame => [
  FRAME.epochStart,
  1,
  encodeEpochStart(leaderEpoch, startOffset),
]

/** A new folder whose checkpoint has these logs and whose journal has these frames, opened as by a node that starts. */
async function recovered(frames: readonly Frame[], logs: readonly CheckpointedLog[] = []) {
  const harness = new ReplicaHarness()
  const { fileSystem } = harness
  const deps = { fileSystem, clock: harness.clock, random: harness.random, logger: harness.logger }
  const directory = await DataDirectory.open(deps, {
    path: DATA,
    clusterId: 'test-cluster',
    nodeId: 1,
    mustExist: false,
  })
  const journal = await Journal.open(deps, { ...SMALL.journal, directory: `${DATA}/journal` })
  const position = journal.start()
  await writeCheckpoint(fileSystem, DATA, {
    identity: directory.identity,
    journal: position,
    clean: false,
    nextLogId: 1 + logs.length,
    logs,
  })
  for (const [kind, logId, payload] of frames) await journal.append(kind, logId, [payload])
  await journal.close()
  await directory.close()
  const manager = await LogManager.open(deps, OPTIONS, (error) => harness.fatal.push(error))
  const log = manager.find(TOPIC_ID, 0)
  const read = async () => {
    if (log === undefined) return []
    const range = { offset: log.startOffset, endOffset: log.endOffset, maxBytes: 1e6 }
    const { batches } = await manager.reader.read(log, range, NEVER)
    return recordsOf(batches, log.startOffset).map(({ value }) => value)
  }
  return { harness, manager, log, read }
}

test('records behind a gap are not taken for the next ones: the log is damaged', async () => {
  const { log } = await recovered([create, records(0, 2), records(5, 1)])
  expect(log?.damage).toBe('records 2 to 4 are missing in the journal')
  expect(log?.endOffset).toBe(2)
})

test('a cut explains what was behind it, and what comes then follows it', async () => {
  const frames = [create, records(0, 2), records(2, 3), truncate(2), records(2, 1, 1)]
  const { log, read } = await recovered(frames)
  expect(log?.damage).toBeUndefined()
  expect(await read()).toEqual(['0/0', '1/0', '2/1'])
  const gap = await recovered([create, records(0, 2), records(5, 1), truncate(2), records(2, 1, 1)])
  expect(gap.log?.damage).toBeUndefined()
  expect(await gap.read()).toEqual(['0/0', '1/0', '2/1'])
})

test('a segment that begins where one was cut away is written to a file of its own', async () => {
  const roll: Frame = [FRAME.roll, 1, encodeOffset(2)]
  const frames = [create, records(0, 2), roll, records(2, 1), truncate(2)]
  const { harness, manager, log } = await recovered(frames)
  if (log === undefined) throw new Error('there is no log')
  manager.appender.roll(log)
  const [, , batch] = records(2, 1, 1)
  manager.appender.append(log, batch)
  await harness.clock.run(manager.close())
  const deps = { ...harness, fileSystem: harness.fileSystem }
  const again = await LogManager.open(deps, OPTIONS, (error) => harness.fatal.push(error))
  const found = again.find(TOPIC_ID, 0)
  expect(found?.damage).toBeUndefined()
  expect(found?.endOffset).toBe(3)
})

test('epochs come back with and without records', async () => {
  const frames = [create, epochStart(2, 0), records(0, 2, 2), epochStart(7, 2)]
  const { log } = await recovered(frames)
  expect(log?.epochs.starts).toEqual([
    { leaderEpoch: 2, startOffset: 0 },
    { leaderEpoch: 7, startOffset: 2 },
  ])
  const { log: fallen } = await recovered([...frames, records(2, 1, 1)])
  expect(fallen?.damage).toBeDefined()
})

test('an epoch in which nothing was written does not stand before records of an earlier one', async () => {
  const frames = [create, epochStart(2, 0), records(0, 2, 2), epochStart(7, 2), records(2, 1, 5)]
  const { log } = await recovered(frames)
  expect(log?.damage).toBeUndefined()
  expect(log?.epochs.starts).toEqual([
    { leaderEpoch: 2, startOffset: 0 },
    { leaderEpoch: 5, startOffset: 2 },
  ])
})

test('a log that began anew has nothing of before, and goes on where it was told to', async () => {
  const restart: Frame = [FRAME.restart, 1, encodeOffset(40)]
  const { log, read } = await recovered([create, records(0, 2, 2), restart, records(40, 2, 1)])
  expect(log?.damage).toBeUndefined()
  expect(log?.startOffset).toBe(40)
  expect(log?.epochs.starts).toEqual([{ leaderEpoch: 1, startOffset: 40 }])
  expect(await read()).toEqual(['40/1', '41/1'])
})

test('a start beyond the end is damage where nothing may be missing', async () => {
  const { log } = await recovered([create, records(0, 2), logStart(5)])
  expect(log?.damage).toBe('records 2 to 4 are missing in the journal')
  const { log: raised, read } = await recovered([create, records(0, 4), logStart(3)])
  expect(raised?.startOffset).toBe(3)
  expect(await read()).toEqual(['3/0'])
})

test('a batch that is not valid damages its log and no other', async () => {
  const [, , batch] = records(0, 1)
  const broken = batch.slice()
  broken[65] = (broken[65] as number) ^ 1
  const other: Frame = [
    FRAME.create,
    2,
    encodeCreation({ topicId: TOPIC_ID, topicName: 't', partition: 1, flush: 'commit' }),
  ]
  const [kind, , intact] = records(0, 1)
  const { log, manager } = await recovered([
    create,
    other,
    [FRAME.append, 1, broken],
    [kind, 2, intact],
  ])
  expect(log?.damage).toMatch(/not valid/)
  expect(manager.find(TOPIC_ID, 1)).toMatchObject({ damage: undefined, endOffset: 1 })
})

test('a deleted log is gone, whatever the journal holds of it', async () => {
  const { log } = await recovered([create, records(0, 3), [FRAME.delete, 1, new Uint8Array(0)]])
  expect(log).toBeUndefined()
})

test('a deleted log stays deleted by the checkpoint alone, until its files are gone', async () => {
  const { harness, manager, log } = await recovered([create, records(0, 3)])
  if (log === undefined) throw new Error('the log is there')
  const { directory } = log
  await manager.delete(log)
  await manager.close()
  expect(await harness.fileSystem.list(directory)).not.toEqual([])
  const deps = { ...harness, logger: harness.logger }
  const again = await LogManager.open(deps, OPTIONS, (error) => harness.fatal.push(error))
  expect(again.find(TOPIC_ID, 0)).toBeUndefined()
  await harness.clock.runFor(OPTIONS.fileDeleteDelayMs + 1)
  expect(await harness.fileSystem.list(directory)).toEqual([])
  await again.close()
})

test('a frame of a newer version stops the start', async () => {
  await expect(recovered([create, [99, 1, new Uint8Array(3)]])).rejects.toThrow(/newer Curlew/)
})

test('files are no longer than their logs after a recovery', async () => {
  const harness = new ReplicaHarness({ maxUnwrittenBytes: 1000 })
  const topicId = harness.metadata.put('t', { segmentBytes: 2000 })
  const manager = await harness.open()
  for (let i = 0; i < 12; i++) {
    const [answer] = manager.append(
      [{ topicId, partition: 0, acks: -1, batch: batchOf([`${i}:${'x'.repeat(200)}`]) }],
      NEVER,
    )
    await answer
  }
  harness.kill()
  // The journal loses its end: the segments have more than is left of it.
  const file = await harness.fileSystem.open(`${DATA}/journal/0`, 'create')
  await file.writeAt([new Uint8Array((await file.sizeBytes()) - 8 * 4096)], 8 * 4096)
  await file.close()
  const again = await harness.open()
  const log = again.storage.find(topicId, 0)
  expect(log?.endOffset).toBeGreaterThan(0)
  expect(log?.endOffset).toBeLessThan(12)
  const directory = `${DATA}/logs/t-0.${topicId}`
  const names = (await harness.fileSystem.list(directory)).filter((name) => name.endsWith('.log'))
  const sizes = names.map((name) => harness.fileSystem.contents(`${directory}/${name}`).length)
  expect(sizes).toEqual(
    log?.segments.filter(({ sizeBytes }) => sizeBytes > 0).map(({ sizeBytes }) => sizeBytes),
  )
})

/** Five records in a file that was removed since. */
const WITHOUT_FILE: CheckpointedLog = {
  logId: 1,
  topicId: TOPIC_ID,
  topicName: 't',
  partition: 0,
  flush: 'commit',
  startOffset: 0,
  endOffset: 5,
  highWatermark: 2,
  segments: [
    {
      baseOffset: 0,
      sizeBytes: 100,
      endOffset: 5,
      maxTimestampMs: 1,
      offsetOfMaxTimestamp: 4,
      createdAtMs: 1,
    },
  ],
  epochs: [{ leaderEpoch: 0, startOffset: 0 }],
}

test('a log is cut though its file was removed, as it came to start behind the cut', async () => {
  const frames = [truncate(3), records(3, 4, 1), logStart(6)]
  const { log, read } = await recovered(frames, [WITHOUT_FILE])
  expect(log?.damage).toBeUndefined()
  expect([log?.startOffset, log?.endOffset]).toEqual([6, 7])
  expect(await read()).toEqual(['6/1'])
})

test('a log that misses the file in which it was cut is damaged', async () => {
  const { log } = await recovered([truncate(3), records(3, 4, 1)], [WITHOUT_FILE])
  expect(log?.damage).toMatch(/^the file of records before 3 is missing/)
})

test.each([0, 3])('a log from %i that was cut to nothing needs no file', async (startOffset) => {
  const log = { ...WITHOUT_FILE, startOffset, highWatermark: startOffset }
  const frames = [truncate(startOffset), records(startOffset, 2, 1)]
  const { log: found, read } = await recovered(frames, [log])
  expect(found?.damage).toBeUndefined()
  expect([found?.startOffset, found?.endOffset]).toEqual([startOffset, startOffset + 2])
  expect(await read()).toEqual([`${startOffset}/1`, `${startOffset + 1}/1`])
})

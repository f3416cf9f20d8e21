import { describe, expect, test } from 'vitest'
import { PromMetrics } from '../../src/env/prom-metrics.ts'
import { JournalFailedError } from '../../src/storage/journal.ts'
import { DIRECTORY, FILE_BYTES, filler, JournalHarness, payload } from './journal-harness.ts'

describe('round trip', () => {
  test('gives back every frame with its sequence, kind, log and payload', async () => {
    const harness = new JournalHarness()
    const { journal, start } = await harness.begin()
    await journal.append(1, 7, [payload('one')])
    await Promise.all([
      journal.append(2, 0xffffffff, [payload('two'), payload(''), payload('+parts')]),
      journal.append(255, 0, []),
    ])
    expect(journal.nextSequence).toBe(3)
    await journal.close()
    const { frames, outcome } = await harness.replay(start)
    expect(frames).toEqual([
      { sequence: 0, kind: 1, logId: 7, payload: 'one' },
      { sequence: 1, kind: 2, logId: 0xffffffff, payload: 'two+parts' },
      { sequence: 2, kind: 255, logId: 0, payload: '' },
    ])
    expect(outcome).toMatchObject({ end: 'clean', nextSequence: 3 })
  })

  test('a fresh journal has nothing to replay', async () => {
    const journal = await new JournalHarness().open()
    const outcome = await journal.replay(undefined, () => undefined)
    expect(outcome).toEqual({ end: 'clean', nextSequence: 0, groups: 0, bytes: 0 })
    await journal.close()
  })

  test('parts are copied: changing them after append changes nothing', async () => {
    const harness = new JournalHarness()
    const { journal, start } = await harness.begin()
    const part = payload('before')
    const appended = journal.append(1, 1, [part])
    part.fill(0)
    await appended
    await journal.close()
    expect((await harness.replay(start)).frames[0]?.payload).toBe('before')
  })

  test('a journal that was not closed ends torn, whatever was acknowledged is there', async () => {
    const harness = new JournalHarness()
    const { journal, start } = await harness.begin()
    await journal.append(1, 1, [payload('kept')])
    harness.restart()
    const { frames, outcome } = await harness.replay(start)
    expect(frames.map((frame) => frame.payload)).toEqual(['kept'])
    expect(outcome).toMatchObject({ end: 'torn', nextSequence: 1, groups: 1 })
  })

  test('a frame larger than a group has one of its own', async () => {
    const harness = new JournalHarness(1, { groupBytes: 8192 })
    const { journal, start } = await harness.begin()
    const sizes = [100, 30_000, 100, journal.maxPayloadBytes, 5]
    await Promise.all(sizes.map((size, i) => journal.append(1, i, [payload(filler(i, size))])))
    expect(() => journal.append(1, 1, [new Uint8Array(journal.maxPayloadBytes + 1)])).toThrow(
      'invariant',
    )
    await journal.close()
    const { frames } = await harness.replay(start)
    expect(frames.map((frame) => frame.payload)).toEqual(sizes.map((size, i) => filler(i, size)))
  })

  test('sequences go on after a restart, and nothing of before is seen in the new epoch', async () => {
    const harness = new JournalHarness()
    const first = await harness.begin()
    for (let i = 0; i < 5; i++) await first.journal.append(1, 1, [payload(`old ${i}`)])
    harness.restart()
    const again = await harness.replay(first.start)
    expect(again.outcome.nextSequence).toBe(5)
    const start = again.journal.start()
    expect(start.frameSequence).toBe(5)
    expect(start.epoch).not.toBe(first.start.epoch)
    await again.journal.append(1, 1, [payload('new')])
    harness.restart()
    const { frames } = await harness.replay(start)
    expect(frames).toEqual([{ sequence: 5, kind: 1, logId: 1, payload: 'new' }])
  })
})

describe('group commit', () => {
  test('what is appended during a write is one group', async () => {
    const harness = new JournalHarness()
    harness.fileSystem.traced = true
    const { journal } = await harness.begin()
    const writes = () =>
      harness.fileSystem.trace.filter(({ kind }) => kind === 'durable-write').length
    const first = journal.append(1, 1, [payload('first')])
    const together = journal.append(1, 1, [payload('same turn')])
    expect(together).toBe(first)
    while (writes() === 0) await Promise.resolve()
    const later = Array.from({ length: 100 }, (_, i) => journal.append(1, i, [payload('later')]))
    expect(later[0]).not.toBe(first)
    await Promise.all(later)
    expect(writes()).toBe(2)
    await journal.close()
  })

  test('frames beyond the size of a group start the next one', async () => {
    const harness = new JournalHarness(1, { groupBytes: 8192 })
    harness.fileSystem.traced = true
    const { journal } = await harness.begin()
    await Promise.all([1, 2, 3, 4, 5].map((i) => journal.append(1, i, [new Uint8Array(3000)])))
    const sizes = harness.fileSystem.trace
      .filter(({ kind }) => kind === 'durable-write')
      .map(({ sizeBytes }) => sizeBytes)
    expect(sizes).toEqual([8192, 8192, 4096])
    await journal.close()
  })

  test('the bytes that wait are bounded, and one frame always fits', async () => {
    const harness = new JournalHarness(1, { maxPendingBytes: 10_000 })
    const { journal } = await harness.begin()
    const large = journal.append(1, 1, [new Uint8Array(20_000)])
    expect(journal.pendingBytes).toBeGreaterThan(20_000)
    expect(() => journal.append(1, 1, [new Uint8Array(1)])).toThrow(
      expect.objectContaining({ code: 'overloaded' }),
    )
    expect(journal.nextSequence).toBe(1)
    await large
    expect(journal.pendingBytes).toBe(0)
    await journal.append(1, 1, [new Uint8Array(1)])
    await journal.close()
  })

  test('is measured', async () => {
    const metrics = new PromMetrics()
    const harness = new JournalHarness()
    const { journal } = await harness.begin(metrics)
    await journal.append(1, 1, [new Uint8Array(5000)])
    void journal.append(1, 1, [new Uint8Array(100)])
    const lines = (await metrics.text()).split('\n')
    expect(lines).toEqual(
      expect.arrayContaining([
        'curlew_journal_bytes_total 8192',
        'curlew_journal_write_seconds_count 1',
        'curlew_journal_bytes_in_use 8192',
        'curlew_journal_pending_bytes 109',
      ]),
    )
    await journal.close()
  })

  test('close waits for what was admitted, then takes nothing more', async () => {
    const harness = new JournalHarness()
    const { journal, start } = await harness.begin()
    const appended = journal.append(1, 1, [payload('last')])
    const closed = journal.close()
    expect(() => journal.append(1, 1, [])).toThrow(expect.objectContaining({ code: 'draining' }))
    await Promise.all([appended, closed, journal.close()])
    expect((await harness.replay(start)).frames).toHaveLength(1)
  })
})

describe('files', () => {
  test('rolls over files and replays across them', async () => {
    const harness = new JournalHarness()
    const { journal, start } = await harness.begin()
    const texts = Array.from({ length: 40 }, (_, i) => filler(i, 10_000))
    for (const text of texts) await journal.append(1, 1, [payload(text)])
    expect((await harness.fileSystem.list(DIRECTORY)).length).toBeGreaterThan(5)
    expect(journal.bytesInUse).toBeGreaterThan(400_000)
    harness.restart()
    const { frames, outcome } = await harness.replay(start)
    expect(frames.map((frame) => frame.payload)).toEqual(texts)
    expect(outcome.end).toBe('torn')
  })

  test('recycles what is released; a replay starts at a position and sees no old bytes', async () => {
    const harness = new JournalHarness()
    const { journal } = await harness.begin()
    for (let i = 0; i < 300; i++) {
      await journal.append(1, 1, [payload(filler(i, 5000))])
      if (i % 10 === 9) {
        journal.release(journal.positionOf(i - 4))
        expect(journal.bytesInUse).toBeLessThan(2 * FILE_BYTES)
      }
    }
    expect((await harness.fileSystem.list(DIRECTORY)).length).toBeLessThanOrEqual(4)
    const from = journal.positionOf(297)
    harness.restart()
    const { frames, outcome } = await harness.replay(from)
    expect(frames.map(({ sequence }) => sequence)).toEqual([297, 298, 299])
    expect(outcome.end).toBe('torn')
  })

  test('removes files beyond the number of spares', async () => {
    const harness = new JournalHarness(1, { spareFilesMax: 2 })
    const { journal } = await harness.begin()
    for (let i = 0; i < 60; i++) await journal.append(1, 1, [new Uint8Array(30_000)])
    expect((await harness.fileSystem.list(DIRECTORY)).length).toBeGreaterThan(20)
    journal.release(journal.positionOf(59))
    await journal.close()
    expect((await harness.fileSystem.list(DIRECTORY)).length).toBeLessThanOrEqual(4)
  })

  test('the names of its folder and files are durable before they hold anything', async () => {
    const harness = new JournalHarness()
    const { journal, start } = await harness.begin()
    const texts = Array.from({ length: 20 }, (_, i) => filler(i, 10_000))
    for (const text of texts) await journal.append(1, 1, [payload(text)])
    harness.crash()
    const { frames } = await harness.replay(start)
    expect(frames.map((frame) => frame.payload)).toEqual(texts)
  })

  test('a file keeps its size when seals fill its last block', async () => {
    const harness = new JournalHarness()
    const { journal, start } = await harness.begin()
    await journal.append(1, 1, [new Uint8Array(journal.maxPayloadBytes)])
    await harness.clock.runFor(1000)
    await journal.close()
    expect(await harness.fileSystem.size(`${DIRECTORY}/0`)).toBe(FILE_BYTES)
    const { frames, outcome } = await harness.replay(start)
    expect(frames).toHaveLength(1)
    expect(outcome).toMatchObject({ groups: 2 })
  })

  test('a payload with a copy of a group is data, not journal', async () => {
    const harness = new JournalHarness()
    const first = await harness.begin()
    await first.journal.append(9, 9, [payload('forged')])
    const copy = harness.fileSystem.contents(`${DIRECTORY}/0`).slice(0, 4096)
    harness.restart()
    const { journal } = await harness.replay(first.start)
    const start = journal.start()
    // The copies lie on block boundaries once the headers before them are filled up.
    const aligned = new Uint8Array(4096 - 48 - 9 + 3 * 4096)
    for (let i = 0; i < 3; i++) aligned.set(copy, 4096 - 48 - 9 + i * 4096)
    await journal.append(1, 1, [aligned])
    harness.restart()
    const { frames, outcome } = await harness.replay(start)
    expect(frames.map(({ kind }) => kind)).toEqual([1])
    expect(outcome).toMatchObject({ end: 'torn', groups: 1 })
  })
})

describe('errors', () => {
  test('a failed write poisons the journal', async () => {
    const harness = new JournalHarness()
    const { journal } = await harness.begin()
    await journal.append(1, 1, [payload('good')])
    harness.fileSystem.fault = ({ kind }) => (kind === 'durable-write' ? 'EIO' : undefined)
    const failing = journal.append(1, 1, [payload('bad')])
    await Promise.resolve()
    const waiting = journal.append(1, 1, [payload('behind it')])
    await expect(failing).rejects.toBeInstanceOf(JournalFailedError)
    await expect(waiting).rejects.toBeInstanceOf(JournalFailedError)
    harness.fileSystem.fault = () => undefined
    await expect(journal.append(1, 1, [])).rejects.toMatchObject({ cause: { code: 'EIO' } })
    await journal.close()
  })

  test('without space it takes what fits, refuses the rest, and heals', async () => {
    const harness = new JournalHarness()
    harness.fileSystem.quotaBytes = 2 * FILE_BYTES
    const { journal, start } = await harness.begin()
    const kept: string[] = []
    let refusal: unknown
    for (let i = 0; refusal === undefined && i < 100; i++) {
      try {
        await journal.append(1, 1, [payload(filler(i, 9000))])
        kept.push(filler(i, 9000))
      } catch (error) {
        refusal = error
      }
    }
    expect(refusal).toMatchObject({ code: 'disk-full', committed: 'no' })
    expect(kept.length).toBeGreaterThan(5)
    expect(() => journal.append(1, 1, [new Uint8Array(9000)])).toThrow(
      expect.objectContaining({ code: 'disk-full' }),
    )
    expect(journal.pendingBytes).toBe(0)
    harness.fileSystem.quotaBytes = 10 * FILE_BYTES
    await harness.clock.runFor(1100)
    await journal.append(1, 1, [payload('after')])
    kept.push('after')
    harness.restart()
    const { frames } = await harness.replay(start)
    expect(frames.map((frame) => frame.payload)).toEqual(kept)
  })

  test('a release gives space too', async () => {
    const harness = new JournalHarness()
    harness.fileSystem.quotaBytes = 2 * FILE_BYTES
    const { journal } = await harness.begin()
    const fill = async () => {
      for (let i = 0; i < 100; i++) await journal.append(1, 1, [new Uint8Array(9000)])
    }
    await expect(fill()).rejects.toMatchObject({ code: 'disk-full' })
    journal.release(journal.positionOf(journal.nextSequence - 1))
    await journal.append(1, 1, [new Uint8Array(9000)])
    await journal.close()
  })

  test('when space ends while frames wait for a file, all of them are refused', async () => {
    const harness = new JournalHarness()
    const { journal, start } = await harness.begin()
    harness.fileSystem.quotaBytes = 0
    const appends = Array.from({ length: 5 }, () => {
      const appended = journal.append(1, 1, [new Uint8Array(40_000)])
      return appended.then(
        () => 'durable',
        (error) => error.code,
      )
    })
    const outcomes = await Promise.all(appends)
    expect(outcomes[0]).toBe('durable')
    const refused = outcomes.indexOf('disk-full')
    expect(outcomes.slice(refused).every((outcome) => outcome === 'disk-full')).toBe(true)
    expect(journal.pendingBytes).toBe(0)
    harness.restart()
    const { frames } = await harness.replay(start)
    expect(frames).toHaveLength(outcomes.filter((outcome) => outcome === 'durable').length)
  })
})

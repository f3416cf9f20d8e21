import { describe, expect, test } from 'vitest'
import type { Timer } from '../../src/env/clock.ts'
import { nullLogger } from '../../src/env/logger.ts'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import { Journal } from '../../src/storage/journal.ts'
import type { JournalPosition } from '../../src/storage/journal-index.ts'
import { SimClock } from '../sim/sim-clock.ts'
import { SimFileSystem } from '../sim/sim-file-system.ts'
import type { Seen } from './journal-harness.ts'
import { DIRECTORY, filler, JournalHarness, payload } from './journal-harness.ts'

/** Appends in waves until the disk dies at its `crashAt`-th durable write. */
async function runUntilCrash(harness: JournalHarness, crashAt: number) {
  const { journal, start } = await harness.begin()
  let checkpoint: JournalPosition = start
  let checkpointed = 0
  let writes = 0
  harness.fileSystem.fault = ({ kind }) =>
    kind === 'durable-write' && ++writes === crashAt ? 'crash' : undefined
  const sent: string[] = []
  let acknowledged = 0
  const work = async () => {
    for (;;) {
      const wave = Array.from({ length: 1 + (harness.random.uint32() % 5) }, () => {
        const number = sent.length
        const text = filler(number, harness.random.uint32() % 9000)
        sent.push(text)
        return journal.append(1, number, [payload(text)]).then(() => {
          acknowledged = Math.max(acknowledged, number + 1)
        })
      })
      await Promise.all(wave)
      if (harness.random.float() < 0.2) {
        checkpointed = Math.max(0, acknowledged - 3)
        checkpoint = journal.positionOf(checkpointed)
        journal.release(checkpoint)
      }
    }
  }
  await Promise.race([work(), harness.fileSystem.ended])
  return { sent, acknowledged, checkpoint, checkpointed }
}

describe('a crash in any write', () => {
  test('loses nothing acknowledged and invents nothing', async () => {
    let tornGroups = 0
    for (let seed = 0; seed < 300; seed++) {
      const harness = new JournalHarness(seed)
      const { sent, acknowledged, checkpoint, checkpointed } = await runUntilCrash(
        harness,
        1 + (seed % 60),
      )
      harness.crash()
      const { frames, outcome } = await harness.replay(checkpoint)
      expect(outcome.end).toBe('torn')
      expect(outcome.nextSequence).toBeGreaterThanOrEqual(acknowledged)
      const expected = sent.slice(checkpointed, outcome.nextSequence)
      expect(frames.map((frame) => frame.payload)).toEqual(expected)
      expect(frames.map((frame) => frame.sequence)).toEqual(
        expected.map((_, i) => checkpointed + i),
      )
      if (outcome.nextSequence < sent.length) tornGroups++
    }
    expect(tornGroups).toBeGreaterThan(50)
  })

  test('again and again, over many epochs', async () => {
    const harness = new JournalHarness(5)
    let { journal, start } = await harness.begin()
    let known: string[] = []
    for (let round = 0; round < 60; round++) {
      let writes = 0
      const crashAt = 1 + (harness.random.uint32() % 12)
      harness.fileSystem.fault = ({ kind }) =>
        kind === 'durable-write' && ++writes === crashAt ? 'crash' : undefined
      const first = journal.nextSequence
      const sent: string[] = []
      let acknowledged = 0
      const work = async () => {
        for (;;) {
          const text = filler(first + sent.length, 100 + (harness.random.uint32() % 20_000))
          sent.push(text)
          await journal.append(1, 1, [payload(text)])
          acknowledged = sent.length
        }
      }
      await Promise.race([work(), harness.fileSystem.ended])
      harness.crash()
      const again = await harness.replay(start)
      known = again.frames.map((frame) => frame.payload)
      expect(known.length).toBeGreaterThanOrEqual(acknowledged)
      expect(known).toEqual(sent.slice(0, known.length))
      journal = again.journal
      start = journal.start()
      expect(start.frameSequence).toBe(first + known.length)
    }
    expect(known.length).toBeLessThan(20)
  })
})

describe('on a clock', () => {
  test('a crash at any time loses nothing acknowledged, also while files are being made', async () => {
    for (let seed = 0; seed < 150; seed++) {
      const random = new SeededRandom(seed)
      const clock = new SimClock()
      const fileSystem = new SimFileSystem({ clock, random, latencyMs: 3 })
      const deps = { fileSystem, random, clock, logger: nullLogger }
      const options = { directory: DIRECTORY, fileBytes: 32 * 1024, sealAfterMs: 2 }
      await clock.run(fileSystem.makeDirectory('/data'))
      await clock.run(fileSystem.syncDirectory('/'))
      const journal = await clock.run(Journal.open(deps, options))
      const start = journal.start()
      const sent: string[] = []
      let acknowledged = 0
      let next: Timer | undefined
      const send = () => {
        const number = sent.length
        sent.push(filler(number, random.uint32() % 12_000))
        void journal.append(1, 1, [payload(sent[number] as string)]).then(() => {
          acknowledged = Math.max(acknowledged, number + 1)
        })
        next = clock.timer(random.float() * 6, send)
      }
      send()
      await clock.runFor(random.float() * 100)

      next?.cancel()
      const after = fileSystem.crash(random)
      const again = await clock.run(Journal.open({ ...deps, fileSystem: after }, options))
      const seen: string[] = []
      const outcome = await clock.run(
        again.replay(start, (frame) => {
          seen.push(Buffer.from(frame.payload).toString('latin1'))
        }),
      )
      expect(outcome.end).toBe('torn')
      expect(seen.length).toBeGreaterThanOrEqual(acknowledged)
      expect(seen).toEqual(sent.slice(0, seen.length))
    }
  })
})

describe('decay', () => {
  /** A small journal: two groups, the seal behind them, and the same again over a second file. */
  async function small(roll: boolean) {
    const harness = new JournalHarness(3, { fileBytes: 16 * 1024 })
    const { journal, start } = await harness.begin()
    const sizes = roll ? [4000, 7000, 3000] : [40, 30]
    for (const [i, size] of sizes.entries()) {
      await Promise.all([
        journal.append(1, i, [payload(filler(i, size))]),
        journal.append(2, i, [payload('x')]),
      ])
    }
    await harness.clock.runFor(1000)
    harness.restart()
    const { frames, outcome } = await harness.replay(start)
    expect(frames).toHaveLength(sizes.length * 2)
    expect(outcome.end).toBe('torn')
    return { harness, start, frames }
  }

  async function flip(roll: boolean, every: number) {
    const { harness, start, frames } = await small(roll)
    const counts = { same: 0, damaged: 0 }
    for (const name of await harness.fileSystem.list(DIRECTORY)) {
      const path = `${DIRECTORY}/${name}`
      for (let at = 0; at < 16 * 1024; at += every) {
        const bit = at % 8
        harness.fileSystem.flipBit(path, at, bit)
        const seen: { frames: Seen[]; end: string } = await harness.replay(start).then((found) => ({
          frames: found.frames,
          end: found.outcome.end,
        }))
        if (seen.end === 'damaged') {
          counts.damaged++
          expect(seen.frames).toEqual(frames.slice(0, seen.frames.length))
        } else {
          counts.same++
          expect(seen.frames, `bit ${bit} of byte ${at} of ${name}`).toEqual(frames)
        }
        harness.fileSystem.flipBit(path, at, bit)
      }
    }
    return counts
  }

  test('a flipped bit in any byte is harmless or told, never a shorter journal', async () => {
    const counts = await flip(false, 1)
    // Both groups' headers and frames, what the second repeats of the first: all is under the CRC.
    expect(counts.damaged).toBe(48 * 2 + 9 * 4 + 40 + 30 + 2 + 5 + 8)
  })

  test('also where the journal goes on in another file', async () => {
    const counts = await flip(true, 3)
    expect(counts.damaged).toBeGreaterThan(4000)
  })

  test('a replay can go on behind the damage', async () => {
    const { harness, start, frames } = await small(true)
    harness.fileSystem.flipBit(`${DIRECTORY}/0`, 100, 0)
    const { journal, outcome } = await harness.replay(start)
    expect(outcome.end).toBe('damaged')
    if (outcome.end !== 'damaged') return
    expect(outcome.damagedAt).toEqual(start)
    const rest: number[] = []
    const second = await journal.replay(outcome.resumeAt, ({ sequence }) => {
      rest.push(sequence)
    })
    expect(second.end).toBe('torn')
    expect(rest).toEqual(frames.slice(2).map(({ sequence }) => sequence))
  })

  test('a journal without one of its files, or with an empty one, is damaged', async () => {
    for (const name of ['0', '1']) {
      for (const isRemoved of [true, false]) {
        const { harness, start, frames } = await small(true)
        const path = `${DIRECTORY}/${name}`
        const file = await harness.fileSystem.open(path, 'create')
        await file.writeAt([new Uint8Array(16 * 1024)], 0)
        await file.close()
        if (isRemoved) await harness.fileSystem.remove(path)
        const seen = await harness.replay(start)
        expect(seen.outcome.end).toBe('damaged')
        expect(seen.frames).toEqual(frames.slice(0, seen.frames.length))
      }
    }
  })

  test('a journal without its first file is damaged, not empty', async () => {
    const { harness, start } = await small(true)
    await harness.fileSystem.remove(`${DIRECTORY}/0`)
    expect((await harness.replay(start)).outcome.end).toBe('damaged')
  })
})

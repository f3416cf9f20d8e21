import { beforeEach, describe, expect, test } from 'vitest'
import { CoordinatorRuntime } from '../../src/coordinator/coordinator-runtime.ts'
import type { Handled, Moment, RecordCodec, Shard } from '../../src/coordinator/shard.ts'
import { MEDIA } from '../../src/core/record.ts'
import { batchRecordCount } from '../../src/core/record-batch.ts'
import { nullLogger } from '../../src/env/logger.ts'
import { ServiceError } from '../../src/lib/service-error.ts'
import { FakeMetadata } from '../front/topics.ts'
import { SimClock } from '../sim/sim-clock.ts'
import { FakeCoordinatorLog } from './fake-coordinator-log.ts'

/** Adds numbers; after each odd sum it adds one by itself, and one more at a time that was set. Keeps notes. */
type Command =
  | { readonly add: number }
  | { readonly note: string; readonly is: number }
  | 'look'
  | 'refuse'
  | 'regret'
  | 'break'
  | { readonly at: number }

/** A number to add, or what a note is now. */
type Entry = number | { readonly note: string; readonly is: number }

class Sum implements Shard<Command, number, Entry> {
  sum = 0
  readonly notes = new Map<string, number>()
  closed = false
  nextDeadlineMs = Number.POSITIVE_INFINITY

  handle(command: Command): Handled<Entry, number> {
    if (command === 'break') throw new Error('a fault of the shard')
    if (command === 'refuse') {
      return { ok: false, code: 'group-full', detail: 'full', committed: 'no' } as const
    }
    if (command === 'regret') {
      const refusal = {
        ok: false,
        code: 'member-not-found',
        detail: 'gone',
        committed: 'no',
      } as const
      return { records: [2], reply: () => refusal }
    }
    if (command === 'look') return { records: [], reply: () => this.sum }
    if ('at' in command) {
      this.nextDeadlineMs = command.at
      return { records: [], reply: () => this.sum }
    }
    if ('note' in command) return { records: [command], reply: () => command.is }
    return { records: [command.add], reply: () => this.sum }
  }

  follow({ monotonicMs }: Moment): number[] {
    if (monotonicMs >= this.nextDeadlineMs) {
      this.nextDeadlineMs = Number.POSITIVE_INFINITY
      return [2]
    }
    return this.sum % 2 === 1 ? [1] : []
  }

  replay(entry: Entry): void {
    if (typeof entry === 'number') this.sum += entry
    else this.notes.set(entry.note, entry.is)
  }

  close(): void {
    this.closed = true
  }
}

/** Each number has a key of its own. */
function codec(): RecordCodec<Entry> {
  let numbers = 0
  const keyOf = (entry: Entry) => (typeof entry === 'number' ? `${numbers++}` : entry.note)
  return {
    keyOf,
    encode: (entry, timestampMs) => {
      const key = Buffer.from(keyOf(entry))
      const value = Buffer.from(JSON.stringify(entry))
      return { key, value, headers: [], timestampMs, media: MEDIA.bytes }
    },
    proof: (timestampMs) => {
      const key = Buffer.from('proof')
      return { key, value: null, headers: [], timestampMs, media: MEDIA.bytes }
    },
    decode: (_key, value) =>
      value === null ? undefined : (JSON.parse(Buffer.from(value).toString()) as Entry),
  }
}

const NEVER = new AbortController().signal

describe('a coordinator over a log', () => {
  let clock: SimClock
  let log: FakeCoordinatorLog
  let shards: Sum[]
  let runtime: CoordinatorRuntime<Command, number, Entry>

  beforeEach(async () => {
    clock = new SimClock({ immediates: 'microtask' })
    log = new FakeCoordinatorLog()
    shards = []
    start()
    await turns()
  })

  function start(options = {}): void {
    runtime = new CoordinatorRuntime(
      {
        clock,
        logger: nullLogger,
        metadata: new FakeMetadata([]),
        log,
        codec: codec(),
        makeShard: () => {
          const shard = new Sum()
          shards.push(shard)
          return shard
        },
      },
      options,
    )
  }

  async function turns(): Promise<void> {
    for (let i = 0; i < 60; i++) await Promise.resolve()
  }

  const submit = (command: Command, signal = NEVER) => runtime.submit(command, signal)

  /** The answer if there is one, or the code of the error; undefined while it is waited for. */
  function watched(promise: Promise<number>) {
    const seen: { is: unknown } = { is: undefined }
    promise.then(
      (reply) => {
        seen.is = reply
      },
      (error: unknown) => {
        seen.is = error instanceof ServiceError ? `${error.code} ${error.committed}` : error
      },
    )
    return seen
  }

  test('appends what one turn brings, and what follows, as one batch', async () => {
    const answers = await Promise.all([submit({ add: 2 }), submit({ add: 3 }), submit('look')])
    expect(answers).toEqual([6, 6, 6])
    expect(log.batches).toHaveLength(1)
  })

  test('appends of one turn only what it has not overtaken itself, and answers every call', async () => {
    const notes = [
      { note: 'a', is: 1 },
      { note: 'b', is: 2 },
      { note: 'a', is: 3 },
    ]
    const answers = await Promise.all([...notes, { add: 2 }].map((command) => submit(command)))
    expect(answers).toEqual([1, 2, 3, 2])
    expect(log.batches.map((batch) => batchRecordCount(batch))).toEqual([3])
    await submit({ note: 'a', is: 4 })
    expect(log.endOffset).toBe(4)
    await runtime.close(new ServiceError('draining', 'over'))
    start()
    await turns()
    expect(shards.map(({ notes: all }) => Object.fromEntries(all))).toEqual([
      { a: 4, b: 2 },
      { a: 4, b: 2 },
    ])
  })

  test('answers when what was seen is committed, not before', async () => {
    log.isEager = false
    const added = watched(submit({ add: 4 }))
    await turns()
    const looked = watched(submit('look'))
    await turns()
    expect([added.is, looked.is]).toEqual([undefined, undefined])
    log.commit()
    await turns()
    expect([added.is, looked.is]).toEqual([4, 4])
  })

  test('where another may lead by now it tells what it has once something is committed', async () => {
    await submit({ add: 4 })
    log.isCertain = log.isEager = false
    const looked = [watched(submit('look')), watched(submit('look'))]
    await turns()
    // What was on its way before proves nothing for those who come now.
    const later = watched(submit('look'))
    await turns()
    log.commit()
    await turns()
    expect([...looked, later].map(({ is }) => is)).toEqual([4, 4, undefined])
    log.commit()
    await turns()
    expect(later.is).toBe(4)
    expect(log.appends).toHaveLength(0)
  })

  async function watchedNow(promise: Promise<number>): Promise<unknown> {
    const seen = watched(promise)
    await turns()
    return seen.is
  }

  test('where another leads by now it says nothing', async () => {
    await submit({ add: 4 })
    log.isCertain = log.isEager = false
    const looked = watched(submit('look'))
    await turns()
    log.refuse('partition-unavailable', 'no')
    await turns()
    expect(looked.is).toBe('coordinator-loading no')
  })

  test('pipelines so many batches and gathers the rest', async () => {
    log.isEager = false
    const answers = [2, 4, 6, 8].map((add) => {
      const answer = watched(submit({ add }))
      return turns().then(() => answer)
    })
    const seen = []
    for (const answer of answers) seen.push(await answer)
    await turns()
    expect(log.appends.length).toBeLessThanOrEqual(2)
    while (log.appends.length > 0) {
      log.commit()
      await turns()
    }
    expect(seen.every(({ is }) => typeof is === 'number')).toBe(true)
    expect(log.batches.length).toBeLessThanOrEqual(3)
    expect(await submit('look')).toBe(20)
  })

  test('appends behind all that it has appended', async () => {
    expect(await submit({ add: 3 })).toBe(4)
    expect(await submit({ add: 3 })).toBe(8)
    expect([log.loads, log.endOffset]).toEqual([1, 4])
  })

  test('loads what the log has', async () => {
    await submit({ add: 10 })
    await runtime.close(new ServiceError('draining', 'over'))
    start()
    expect(await watchedNow(submit('look'))).toBe('coordinator-loading no')
    expect(await submit('look')).toBe(10)
  })

  test.each([
    ['not-enough-replicas', 'no'],
    ['outcome-unknown', 'unknown'],
    ['disk-full', 'no'],
  ] as const)('drops the state after an append that ended as %s', async (code, committed) => {
    await submit({ add: 2 })
    log.isEager = false
    const added = watched(submit({ add: 4 }))
    const looked = watched(submit('look'))
    await turns()
    log.refuse(code, committed)
    await turns()
    expect(added.is).toBe(`${code} ${committed}`)
    expect(looked.is).toBe('coordinator-loading no')
    expect(shards[0]?.closed).toBe(true)
    expect(await watchedNow(submit('look'))).toBe('coordinator-loading no')
    log.isEager = true
    await clock.runFor(1_000)
    await turns()
    expect(await submit('look')).toBe(2)
  })

  test('an append of which nobody knew counts when it is found in the log', async () => {
    log.isEager = false
    const added = watched(submit({ add: 4 }))
    await turns()
    log.refuse('outcome-unknown', 'unknown', true)
    log.isEager = true
    await clock.runFor(1_000)
    await turns()
    expect(added.is).toBe('outcome-unknown unknown')
    expect(await submit('look')).toBe(4)
  })

  test('reads the log again only when nothing is on its way into it', async () => {
    log.isEager = false
    const first = watched(submit({ add: 2 }))
    await turns()
    const second = watched(submit({ add: 4 }))
    await turns()
    expect(log.appends).toHaveLength(2)
    log.refuse('not-enough-replicas', 'no')
    await clock.runFor(5_000)
    await turns()
    expect(log.loads).toBe(1)
    log.commit()
    await clock.runFor(5_000)
    await turns()
    expect([first.is, second.is]).toEqual(['not-enough-replicas no', 'partition-unavailable no'])
    expect(log.loads).toBe(2)
    expect(await submit('look')).toBe(0)
  })

  test('one call that breaks does not stop the coordinator', async () => {
    const broken = watched(submit('break'))
    await turns()
    expect(broken.is).toBe('internal-error no')
    await clock.runFor(1_000)
    await turns()
    expect(await submit('look')).toBe(0)
  })

  test('refuses what turned out wrong by the end of the turn', async () => {
    expect(await watchedNow(submit('regret'))).toBe('member-not-found no')
    expect(await submit('look')).toBe(2)
  })

  test('refuses what the shard refuses, and what comes when too many wait', async () => {
    expect(await watchedNow(submit('refuse'))).toBe('group-full no')
    await runtime.close(new ServiceError('draining', 'over'))
    start({ maxWaiting: 1 })
    await turns()
    const [one, two] = [watched(submit('look')), watched(submit('look'))]
    await turns()
    expect([one.is, two.is]).toEqual([0, 'overloaded no'])
  })

  test('does what is due by itself', async () => {
    await submit({ at: clock.monotonicMs() + 500 })
    await clock.runFor(499)
    await turns()
    expect(log.batches).toHaveLength(0)
    await clock.runFor(2)
    await turns()
    expect(log.batches).toHaveLength(1)
    expect(await submit('look')).toBe(2)
  })

  test('a call that nobody waits for any more is not begun', async () => {
    const stop = new AbortController()
    const gone = watched(submit({ add: 2 }, stop.signal))
    stop.abort(new ServiceError('draining', 'gone'))
    await turns()
    expect(gone.is).toBe('draining no')
    expect(await submit('look')).toBe(0)
  })

  test('what waits ends when the node leads no longer', async () => {
    log.isEager = false
    const added = watched(submit({ add: 2 }))
    await turns()
    const closing = runtime.close(new ServiceError('partition-unavailable', 'another one leads'))
    expect(await watchedNow(submit('look'))).toBe('partition-unavailable no')
    expect(added.is).toBeUndefined()
    log.refuse('outcome-unknown', 'unknown')
    await closing
    await turns()
    expect(added.is).toBe('outcome-unknown unknown')
  })

  test('tries to load until it can', async () => {
    await runtime.close(new ServiceError('draining', 'over'))
    log.loadError = new ServiceError('partition-unavailable', 'not yet')
    start()
    await clock.runFor(3_000)
    await turns()
    expect(await watchedNow(submit('look'))).toBe('coordinator-loading no')
    log.loadError = undefined
    await clock.runFor(3_000)
    await turns()
    expect(await submit('look')).toBe(0)
  })
})

/** Load and judge together: against a log that tells the truth nothing is found, every lie is. */
import { describe, expect, it } from 'vitest'
import { History } from '../support/history-checker.ts'
import { Load, readTopic } from '../support/load.ts'
import type { Lie } from '../support/lying-log.ts'
import { LyingLog } from '../support/lying-log.ts'
import { seededRandom } from '../support/seeded-random.ts'

async function judge(lie: Lie): Promise<string[]> {
  const log = await LyingLog.start(lie)
  const history = new History()
  try {
    const load = new Load({
      baseUrl: log.baseUrl,
      topics: ['t'],
      writers: 4,
      readers: 1,
      history: () => history,
      random: seededRandom(`a log that ${lie}`),
      round: 0,
    })
    await load.acknowledged(100)
    await load.finish()
    expect(history.count('written')).toBeGreaterThan(100)
    return history.anomalies(await readTopic(log.baseUrl, 't'))
  } finally {
    log.close()
  }
}

describe('the judge of the load', () => {
  it('finds nothing where nothing is wrong', async () => {
    expect(await judge('none')).toEqual([])
  })

  it.each<[Lie, string]>([
    ['forgets', 'inconsistent offset'],
    ['repeats', 'duplicate'],
    ['swaps', 'inconsistent offset'],
    ['refuses but writes', 'refused, yet written'],
  ])('sees through a log that %s', async (lie, anomaly) => {
    expect(await judge(lie)).toContainEqual(expect.stringContaining(anomaly))
  })
})

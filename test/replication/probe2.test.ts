import { expect, test } from 'vitest'
import { append, NEVER, ReplicaHarness, request } from './replica-harness.ts'

const big = (i: number) => [`${i}:${'x'.repeat(3000)}`]

test('X checkpoint after journal refused', async () => {
  const harness = new ReplicaHarness({
    maxUnwrittenBytes: 1e6,
    memoryBytes: 1e6,
    maxJournalBytes: 1e6,
  })
  const topicId = harness.metadata.put('t')
  const manager = await harness.open()
  await append(manager, topicId, ['a'])
  harness.fileSystem.fault = ({ kind }) => (kind === 'durable-open' ? 'ENOSPC' : undefined)
  const answers = await Promise.all(
    manager.append(
      Array.from({ length: 100 }, (_, i) => request(topicId, big(i))),
      NEVER,
    ),
  )
  console.log(answers.filter((a) => a.ok).length, answers.at(-1))
  let n = 0
  const original = manager.storage.appender.journaled.bind(manager.storage.appender)
  manager.storage.appender.journaled = async () => {
    if (++n > 1000) {
      throw new Error('loop')
    }
    return original()
  }
  await manager.storage.checkpoints.run(false)
  console.log(n)
})

import { expect, test, vi } from 'vitest'
import {
  append,
  NEVER,
  ReplicaHarness,
  readAll,
  request,
  valuesOf,
} from '../replication/replica-harness.ts'

test('a checkpoint is made after the journal has refused what waited for it', async () => {
  const harness = new ReplicaHarness({ maxUnwrittenBytes: 1e6, memoryBytes: 1e6 })
  const topicId = harness.metadata.put('t')
  const manager = await harness.open()
  harness.fileSystem.fault = ({ kind }) => (kind === 'durable-open' ? 'ENOSPC' : undefined)
  const requests = Array.from({ length: 60 }, (_, i) =>
    request(topicId, [`${i}:${'x'.repeat(3000)}`]),
  )
  const answers = await Promise.all(manager.append(requests, NEVER))
  const acknowledged = answers.filter(({ ok }) => ok).length
  expect(answers.at(-1)).toMatchObject({ code: 'disk-full', committed: 'no' })
  const { appender, checkpoints } = manager.storage
  // Asked without end it would never let go of the process.
  const journaled = appender.journaled.bind(appender)
  let asked = 0
  vi.spyOn(appender, 'journaled').mockImplementation(() => {
    if (++asked > 10) throw new Error('the checkpoint asks for ever')
    return journaled()
  })
  await checkpoints.run(false)
  harness.crash()
  const again = await harness.open()
  expect(await readAll(again, topicId)).toHaveLength(acknowledged)
})

test('a start that fails at its first checkpoint leaves the journal to the next one', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t')
  const manager = await harness.open()
  await append(manager, topicId, ['a'])
  harness.kill()
  harness.fileSystem.fault = ({ kind, path }) =>
    kind === 'rename' && path.includes('/checkpoint') ? 'EIO' : undefined
  await expect(harness.open()).rejects.toThrow('EIO')
  harness.kill()
  const again = await harness.open()
  expect(valuesOf(await readAll(again, topicId))).toEqual(['a'])
})

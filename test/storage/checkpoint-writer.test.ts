import { expect, test } from 'vitest'
import { append, ReplicaHarness } from '../replication/replica-harness.ts'

test('what a checkpoint has stays in the journal until the checkpoint is durable', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t')
  const manager = await harness.open()
  for (let i = 0; i < 10; i++) await append(manager, topicId, ['x'.repeat(5_000)])
  const { fileSystem } = harness
  const { storage } = manager
  const before = storage.journalBytes
  fileSystem.fault = ({ kind }) => (kind === 'rename' ? 'crash' : undefined)
  void storage.checkpoints.run(false)
  await fileSystem.ended
  expect(storage.journalBytes).toBe(before)
})

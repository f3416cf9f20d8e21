import { expect, test } from 'vitest'
import type { TopicId } from '../../src/core/ids.ts'
import { OffsetsLookup } from '../../src/front/offsets-lookup.ts'
import type { StorageClient } from '../../src/internal/storage-client.ts'
import type { PartitionOffsets, PartitionPlace } from '../../src/wire/internal.ts'

const topicId = '0'.repeat(32) as TopicId
const places = (...partitions: number[]) => partitions.map((partition) => ({ topicId, partition }))
const offsets = (end: number): PartitionOffsets => ({
  logStartOffset: 0,
  highWatermark: end,
  logEndOffset: end,
  sizeBytes: 1,
  leaderEpoch: 0,
})

/** A node whose answers the test gives, one call after the other. */
class Node {
  readonly calls: { asked: number[]; answer: (told: PartitionOffsets[] | Error) => void }[] = []

  get client(): StorageClient {
    return this as unknown as StorageClient
  }

  offsetsOf(asked: readonly PartitionPlace[]): Promise<PartitionOffsets[]> {
    const { promise, resolve, reject } = Promise.withResolvers<PartitionOffsets[]>()
    const answer = (told: PartitionOffsets[] | Error) => {
      if (told instanceof Error) reject(told)
      else resolve(told)
    }
    this.calls.push({ asked: asked.map(({ partition }) => partition), answer })
    return promise
  }

  /** The high watermark of each partition is its number. */
  answer(call: number): void {
    const { asked, answer } = this.calls[call]!
    answer(asked.map(offsets))
  }
}

const lookup = () =>
  new OffsetsLookup(() => ({ deadlineMs: 1, signal: new AbortController().signal }))

test('what arrives while calls are on their way goes together, and each gets its own', async () => {
  const node = new Node()
  const { client } = node
  const shared = lookup()
  const told = [places(1), places(2, 3), places(4), places(), places(5, 6)].map((asked) =>
    shared.ask(client, asked),
  )
  expect(node.calls.map(({ asked }) => asked)).toEqual([[1], [2, 3]])
  node.answer(0)
  await told[0]
  expect(node.calls[2]?.asked).toEqual([4, 5, 6])
  node.answer(1)
  node.answer(2)
  const ends = (await Promise.all(told)).map((all) => all.map((one) => one?.highWatermark))
  expect(ends).toEqual([[1], [2, 3], [4], [], [5, 6]])
})

test('of a node that cannot be asked nothing is told, and the next is asked', async () => {
  const node = new Node()
  const shared = lookup()
  const told = [1, 2, 3].map((partition) => shared.ask(node.client, places(partition)))
  node.calls[0]?.answer(new Error('gone'))
  expect(await told[0]).toEqual([undefined])
  node.answer(1)
  node.answer(2)
  expect(await told[2]).toEqual([offsets(3)])
})

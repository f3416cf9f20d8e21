import { expect, test } from 'vitest'
import type { GroupId } from '../../../src/core/group-settings.ts'
import { GroupLink } from '../../../src/front/groups/group-link.ts'
import type { GroupCallMessage } from '../../../src/wire/group-call-codec.ts'
import type { GroupReply } from '../../../src/wire/group-calls.ts'

const NEVER = new AbortController().signal

/** What goes to the node, settled by hand. */
class Node {
  readonly calls: { groups: string[]; deadlineMs: number }[] = []
  readonly replies = new Map<string, PromiseWithResolvers<GroupReply>>()
  readonly link = new GroupLink({
    groupCalls: (messages, { deadlineMs }) => {
      const groups = messages.map(nameOf)
      this.calls.push({ groups, deadlineMs })
      const results = groups.map((group) => {
        const reply = Promise.withResolvers<GroupReply>()
        this.replies.set(group, reply)
        return reply.promise
      })
      return { results }
    },
  })

  send(group: string, partition = 0, deadlineMs = 0, signal = NEVER): Promise<GroupReply> {
    const message = { partition, call: { kind: 'remove', command: { groupId: group } } }
    return this.link.send(message as GroupCallMessage, deadlineMs, signal)
  }

  get sent(): string[][] {
    return this.calls.map(({ groups }) => groups)
  }
}

function nameOf({ call }: GroupCallMessage): GroupId {
  return (call.command as { groupId: GroupId }).groupId
}

/** All that is due by itself has been done. */
async function turn(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve()
}

test('what one turn brings goes together, and what comes while a coordinator owes an answer with its next call', async () => {
  const node = new Node()
  const sent = [node.send('a', 0, 5), node.send('b', 1, 9), node.send('c', 0, 7)]
  await turn()
  expect(node.sent).toEqual([['a', 'b', 'c']])
  expect(node.calls[0]?.deadlineMs).toBe(9)
  sent.push(node.send('d'))
  await turn()
  sent.push(node.send('e'), node.send('f', 2))
  await turn()
  expect(node.sent.slice(1)).toEqual([['f']])
  node.replies.get('a')?.resolve(null)
  await turn()
  expect(node.sent).toHaveLength(2)
  node.replies.get('c')?.resolve(null)
  await turn()
  expect(node.sent.slice(2)).toEqual([['d', 'e']])
  expect(sent).toHaveLength(6)
})

test('each gets its own answer, and a coordinator that takes long holds up no other', async () => {
  const node = new Node()
  const [slow, quick] = [node.send('slow', 0), node.send('quick', 1)]
  await turn()
  node.replies.get('quick')?.resolve(null)
  expect(await quick).toBe(null)
  const next = node.send('next', 1)
  await turn()
  node.replies.get('next')?.reject(new Error('no'))
  await expect(next).rejects.toThrow('no')
  const again = node.send('again', 1)
  await turn()
  node.replies.get('again')?.resolve(null)
  expect(await again).toBe(null)
  node.replies.get('slow')?.resolve([])
  expect(await slow).toEqual([])
})

test('who goes away is let go; what it asked for is done only if it has left', async () => {
  const node = new Node()
  const gone = new AbortController()
  const first = node.send('a', 0, 0, gone.signal)
  await turn()
  const second = node.send('b', 0, 0, gone.signal)
  gone.abort(new Error('gone'))
  await expect(first).rejects.toThrow('gone')
  await expect(second).rejects.toThrow('gone')
  void node.send('c', 1)
  await turn()
  expect(node.sent).toEqual([['a'], ['c']])
})

test('a call has no more than so many, and the rest goes at once in others', async () => {
  const node = new Node()
  const sent = Array.from({ length: 600 }, (_, i) => node.send(`g${i}`, i))
  await turn()
  expect(node.sent.map((groups) => groups.length)).toEqual([256, 256, 88])
  expect(node.sent.flat()).toEqual(sent.map((_, i) => `g${i}`))
})

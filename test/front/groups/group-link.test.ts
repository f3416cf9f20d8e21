import { expect, test } from 'vitest'
import type { GroupId } from '../../../src/core/group-settings.ts'
import { GroupLink } from '../../../src/front/groups/group-link.ts'
import type { GroupCallMessage } from '../../../src/wire/group-call-codec.ts'
import type { GroupReply } from '../../../src/wire/group-calls.ts'

const NEVER = new AbortController().signal

/** What goes to the node, settled by hand. */
class Node {
  readonly calls: { groups: string[]; deadlineMs: number; taken: () => void }[] = []
  readonly replies = new Map<string, PromiseWithResolvers<GroupReply>>()
  readonly link = new GroupLink({
    groupCalls: (messages, { deadlineMs }) => {
      const taken = Promise.withResolvers<void>()
      const groups = messages.map(nameOf)
      this.calls.push({ groups, deadlineMs, taken: taken.resolve })
      const results = groups.map((group) => {
        const reply = Promise.withResolvers<GroupReply>()
        this.replies.set(group, reply)
        return reply.promise
      })
      return { results, taken: taken.promise }
    },
  })

  send(group: string, deadlineMs = 0, signal = NEVER): Promise<GroupReply> {
    const message = { partition: 0, call: { kind: 'remove', command: { groupId: group } } }
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

test('what one turn brings goes together, and what comes while two are on the way goes with the next', async () => {
  const node = new Node()
  const sent = [node.send('a', 5), node.send('b', 9), node.send('c', 7)]
  await turn()
  expect(node.sent).toEqual([['a', 'b', 'c']])
  expect(node.calls[0]?.deadlineMs).toBe(9)
  sent.push(node.send('d'))
  await turn()
  sent.push(node.send('e'))
  await turn()
  sent.push(node.send('f'))
  await turn()
  expect(node.sent).toEqual([['a', 'b', 'c'], ['d']])
  node.calls[0]?.taken()
  await turn()
  expect(node.sent).toEqual([['a', 'b', 'c'], ['d'], ['e', 'f']])
  expect(sent).toHaveLength(6)
})

test('each gets its own answer, and one that takes long holds up nobody', async () => {
  const node = new Node()
  const [slow, quick] = [node.send('slow'), node.send('quick')]
  await turn()
  node.calls[0]?.taken()
  node.replies.get('quick')?.resolve(null)
  expect(await quick).toBe(null)
  const next = node.send('next')
  await turn()
  node.replies.get('next')?.reject(new Error('no'))
  await expect(next).rejects.toThrow('no')
  node.replies.get('slow')?.resolve([])
  expect(await slow).toEqual([])
})

test('who goes away is let go, and its call is made all the same', async () => {
  const node = new Node()
  const gone = new AbortController()
  const call = node.send('a', 0, gone.signal)
  gone.abort(new Error('gone'))
  await expect(call).rejects.toThrow('gone')
  expect(node.sent).toEqual([['a']])
})

test('a call has no more than so many, and the rest goes at once in another', async () => {
  const node = new Node()
  const sent = Array.from({ length: 600 }, (_, i) => node.send(`g${i}`))
  await turn()
  expect(node.sent.map((groups) => groups.length)).toEqual([256, 256])
  node.calls[1]?.taken()
  await turn()
  expect(node.sent.map((groups) => groups.length)).toEqual([256, 256, 88])
  expect(node.sent.flat()).toEqual(sent.map((_, i) => `g${i}`))
})

/** Offsets of groups: commit, look up, set anew; and how far behind a group is. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { OffsetOutcome } from '../../front/groups/group-offsets.ts'
import type { GroupLag as Lag } from '../../wire/group-admin.ts'
import {
  CommitBody,
  CommittedOffsets,
  GroupLag,
  OffsetReceipts,
  ResetBody,
} from '../../wire/group-admin.ts'
import { GroupParams, OffsetReceipt } from '../../wire/group-members.ts'
import { parsePosition } from '../../wire/position.ts'
import { Problem } from '../../wire/problem.ts'
import { ref } from '../../wire/schema.ts'
import { formatTimestamp } from '../../wire/timestamp.ts'
import type { App } from '../app.ts'
import { sendAsciiJson } from '../json-answer.ts'
import { registerSchemas } from '../route-rules.ts'
import { traceIdOf } from '../trace-context.ts'
import type { GroupRoutesDeps } from './group-member-routes.ts'
import { checkNotes, cursorOf, groupIdOf, invalid, memberIdOf, receiptOf } from './group-request.ts'

const TAGS = ['groups']
const OFFSETS = '/v1/groups/:group/offsets'
const problem = { default: ref(Problem) }

export function groupOffsetRoutes(app: App, deps: GroupRoutesDeps): void {
  registerSchemas(app, OffsetReceipt, OffsetReceipts, CommittedOffsets, GroupLag)
  registerSchemas(app, CommitBody, ResetBody)
  commitRoute(app, deps)
  offsetsRoute(app, deps)
  resetRoute(app, deps)
  lagRoute(app, deps)
}

function commitRoute(app: App, { groups }: GroupRoutesDeps): void {
  app.post(
    OFFSETS,
    {
      schema: {
        operationId: 'commitOffsets',
        summary: 'Commit offsets',
        description:
          'By the cursor of a member, or by numbers. Each partition has an outcome of its own; 207 if some were refused. Without a member only while the group has none, which also makes a group.',
        tags: TAGS,
        params: GroupParams,
        body: ref(CommitBody),
        response: { 200: ref(OffsetReceipts), 207: ref(OffsetReceipts), ...problem },
      },
    },
    async (request, reply) => {
      const { cursor, offsets, memberId, memberEpoch } = request.body
      if ((cursor === undefined) === (offsets === undefined)) {
        throw invalid('/cursor', 'or offsets must be given, and not both')
      }
      if (memberEpoch === undefined && memberId !== undefined && cursor === undefined) {
        throw invalid('/memberEpoch', 'is missing')
      }
      if (memberEpoch !== undefined && memberId === undefined) {
        throw invalid('/memberId', 'is missing')
      }
      checkNotes(offsets ?? [])
      const committer = {
        groupId: groupIdOf(request.params.group),
        ...(memberId !== undefined && { memberId: memberIdOf(memberId) }),
        ...(memberEpoch !== undefined && { memberEpoch }),
      }
      const outcomes =
        cursor === undefined
          ? await groups.offsets.commit(committer, offsets ?? [], request.signal)
          : await groups.offsets.commitCursor(committer, cursorOf(cursor), request.signal)
      sendReceipts(request, reply, outcomes)
    },
  )
}

function offsetsRoute(app: App, { groups }: GroupRoutesDeps): void {
  app.get(
    OFFSETS,
    {
      schema: {
        operationId: 'getOffsets',
        summary: 'Committed offsets of a group',
        tags: TAGS,
        params: GroupParams,
        response: { 200: ref(CommittedOffsets), ...problem },
      },
    },
    async (request) => {
      const groupId = groupIdOf(request.params.group)
      const committed = await groups.service.offsets(groupId, request.signal)
      return {
        offsets: committed.map(
          ({ topic, topicId, partition, offset, metadata, committedAtMs }) => ({
            ...(topic !== undefined && { topic }),
            topicId,
            partition,
            offset,
            ...(metadata !== undefined && { metadata }),
            committedAt: formatTimestamp(committedAtMs),
          }),
        ),
      }
    },
  )
}

function resetRoute(app: App, { groups }: GroupRoutesDeps): void {
  app.put(
    OFFSETS,
    {
      schema: {
        operationId: 'resetOffsets',
        summary: 'Set offsets anew',
        description:
          'While the group has no members: to a place of all partitions of some topics (`to`), or to numbers (`offsets`).',
        tags: TAGS,
        params: GroupParams,
        body: ref(ResetBody),
        response: { 200: ref(OffsetReceipts), 207: ref(OffsetReceipts), ...problem },
      },
    },
    async (request, reply) => {
      const { to, topics, offsets } = request.body
      const groupId = groupIdOf(request.params.group)
      if ((to === undefined) === (offsets === undefined)) {
        throw invalid('/to', 'or offsets must be given, and not both')
      }
      if (offsets !== undefined) {
        if (topics !== undefined) throw invalid('/topics', 'is for to, not for offsets')
        checkNotes(offsets)
        sendReceipts(request, reply, await groups.offsets.set(groupId, offsets, request.signal))
        return
      }
      const at = parsePosition(to ?? '')
      if (at === undefined) {
        throw invalid('/to', 'must be earliest, latest, offset:N, time:<RFC 3339 time> or last:N')
      }
      const target = { at, ...(topics && { topics }) }
      sendReceipts(request, reply, await groups.offsets.reset(groupId, target, request.signal))
    },
  )
}

function lagRoute(app: App, { groups }: GroupRoutesDeps): void {
  app.get(
    '/v1/groups/:group/lag',
    {
      schema: {
        operationId: 'getLag',
        summary: 'How far a group is behind',
        description:
          'In records, and in seconds: the age of the oldest record that is not committed. The total is over the partitions that could be asked.',
        tags: TAGS,
        params: GroupParams,
        response: { 200: ref(GroupLag), ...problem },
      },
    },
    async (request): Promise<Lag> => {
      const { group } = request.params
      const partitions = await groups.lag.of(groupIdOf(group), request.signal)
      let records = 0
      let seconds = 0
      for (const lag of partitions) {
        records += lag.records ?? 0
        seconds = Math.max(seconds, lag.seconds ?? 0)
      }
      return { group, records, seconds, partitions }
    },
  )
}

/**
 * The answer about all partitions, with 207 if something was refused. A commit is answered as often as a
 * record is published: past what fastify does for any payload.
 * @throws ServiceError if there is one partition only and it was refused
 */
function sendReceipts(
  request: FastifyRequest,
  reply: FastifyReply,
  outcomes: readonly OffsetOutcome[],
): void {
  if (outcomes.every(({ error }) => error === undefined)) {
    // Names of topics, and numbers.
    sendAsciiJson(reply, 200, JSON.stringify({ offsets: outcomes }))
    return
  }
  const [first] = outcomes
  if (outcomes.length === 1 && first?.error !== undefined) throw first.error
  const traceId = traceIdOf(request)
  reply.code(207).send({ offsets: outcomes.map((outcome) => receiptOf(outcome, traceId)) })
}

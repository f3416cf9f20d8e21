/** Members of groups: join, stay alive, read, poll, leave. */
import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { MEMBER_DEFAULTS } from '../../core/group-settings.ts'
import { LIMITS } from '../../core/limits.ts'
import type { Front } from '../../front/front.ts'
import type { Groups } from '../../front/groups/groups.ts'
import { groupPage, memberAnswer } from '../../front/groups/member-answer.ts'
import type { MetadataView } from '../../metadata/metadata-image.ts'
import type { Cursor } from '../../wire/cursor.ts'
import {
  GroupPage,
  GroupParams,
  GroupReadQuery,
  HeartbeatBody,
  JoinBody,
  LeaveQuery,
  Member,
  MemberParams,
  OffsetReceipt,
  PollBody,
  TopicPartitions,
} from '../../wire/group-members.ts'
import { Problem } from '../../wire/problem.ts'
import { RecordView } from '../../wire/records.ts'
import { ref } from '../../wire/schema.ts'
import type { App } from '../app.ts'
import { clientGone } from '../client-gone.ts'
import { registerSchemas } from '../route-rules.ts'
import { traceIdOf } from '../trace-context.ts'
import {
  cursorOf,
  groupIdOf,
  memberIdOf,
  placesOf,
  receiptOf,
  subscriptionOf,
} from './group-request.ts'
import { waitSecondsOf } from './read-request.ts'

export interface GroupRoutesDeps {
  readonly front: Pick<Front, 'isDraining'>
  readonly groups: Groups
  readonly metadata: MetadataView
}

const TAGS = ['groups']
const MEMBERS = '/v1/groups/:group/members'
const MEMBER = `${MEMBERS}/:member`
const problem = { default: ref(Problem) }

export function groupMemberRoutes(app: App, deps: GroupRoutesDeps): void {
  registerSchemas(app, TopicPartitions, JoinBody, HeartbeatBody, PollBody, Member)
  registerSchemas(app, RecordView, OffsetReceipt, GroupPage)
  joinRoute(app, deps)
  leaveRoute(app, deps)
  heartbeatRoute(app, deps)
  readRoute(app, deps)
  pollRoute(app, deps)
}

function joinRoute(app: App, { groups }: GroupRoutesDeps): void {
  app.post(
    MEMBERS,
    {
      schema: {
        operationId: 'joinGroup',
        summary: 'Join a group',
        description:
          'Makes the group if there is none. 201: the member is new. 200: it was there; a repeated join may change what it reads. The partitions of the topics are shared between the members.',
        tags: TAGS,
        params: GroupParams,
        body: ref(JoinBody),
        response: { 200: ref(Member), 201: ref(Member), ...problem },
      },
    },
    async (request, reply) => {
      const { topics, pattern, memberId, instanceId, from = 'earliest', ...settings } = request.body
      const groupId = groupIdOf(request.params.group)
      const joined = await groups.members.join(
        {
          groupId,
          memberId: memberIdOf(memberId),
          ...(instanceId !== undefined && { instanceId: memberIdOf(instanceId) }),
          subscription: subscriptionOf({
            ...(topics && { topics }),
            ...(pattern !== undefined && { pattern }),
          }),
          from,
          ...MEMBER_DEFAULTS,
          ...settings,
        },
        request.signal,
      )
      if (joined.created) {
        reply.code(201).header('location', `/v1/groups/${groupId}/members/${memberId}`)
      }
      return memberAnswer(joined)
    },
  )
}

function leaveRoute(app: App, { groups }: GroupRoutesDeps): void {
  app.delete(
    MEMBER,
    {
      schema: {
        operationId: 'leaveGroup',
        summary: 'Leave a group',
        description:
          'The partitions of the member go to the others at once; what it has not committed is read again. It may be repeated.',
        tags: TAGS,
        params: MemberParams,
        querystring: LeaveQuery,
        response: {
          204: Type.Unsafe<undefined>({ type: 'null', description: 'Left' }),
          ...problem,
        },
      },
    },
    async (request, reply) => {
      const { keep } = request.query
      const place = placeOf(request.params)
      const command = { ...place, ...(keep !== undefined && { keepInstance: keep }) }
      await groups.members.leave(command, request.signal)
      return await reply.code(204).send(undefined)
    },
  )
}

function heartbeatRoute(app: App, { groups, metadata }: GroupRoutesDeps): void {
  app.post(
    `${MEMBER}/heartbeat`,
    {
      schema: {
        operationId: 'heartbeat',
        summary: 'Stay alive, and give up partitions',
        description:
          'Renews the session. Partitions of `revoking` that `owned` does not name go to other members; without `owned` nothing is given up.',
        tags: TAGS,
        params: MemberParams,
        body: ref(HeartbeatBody),
        response: { 200: ref(Member), ...problem },
      },
    },
    async (request) => {
      const { memberEpoch, owned } = request.body
      const command = { ...placeOf(request.params), memberEpoch }
      const kept = owned && { owned: placesOf(metadata, owned) }
      return memberAnswer(await groups.members.heartbeat({ ...command, ...kept }, request.signal))
    },
  )
}

function readRoute(app: App, deps: GroupRoutesDeps): void {
  const { groups } = deps
  app.get(
    `${MEMBER}/records`,
    {
      config: { compress: true },
      schema: {
        operationId: 'readAsMember',
        summary: 'Read as a member',
        description:
          'Changes nothing, commits nothing, and is no sign of life. While the member keeps its epoch, the same cursor gives the same records.',
        tags: TAGS,
        params: MemberParams,
        querystring: GroupReadQuery,
        response: { 200: ref(GroupPage), ...problem },
      },
    },
    async (request, reply) => {
      const { query, headers, params } = request
      const wait = waitSecondsOf(query.wait, headers)
      const asked = {
        ...placeOf(params),
        memberEpoch: query.memberEpoch,
        cursor: query.cursor === undefined ? undefined : cursorOf(query.cursor),
        limit: query.limit,
        maxBytes: query.maxBytes,
        waitMs: wait * 1000,
      }
      const selection = await groups.reader.read(asked, clientGone(reply.raw))
      return await sendPage(deps, reply, wait, groupPage(groups.renderer, selection))
    },
  )
}

function pollRoute(app: App, deps: GroupRoutesDeps): void {
  const { groups, metadata } = deps
  app.post(
    `${MEMBER}/poll`,
    {
      config: { compress: true },
      schema: {
        operationId: 'pollAsMember',
        summary: 'Commit, and read on',
        description:
          'All that a member needs: commits what it has processed, renews the session, gives up what it is to give up (or, with `owned`, what that does not name), and reads. With `commit` = `before` what the answer has is committed before it is sent: at most once.',
        tags: TAGS,
        params: MemberParams,
        body: ref(PollBody),
        response: { 200: ref(GroupPage), ...problem },
      },
    },
    async (request, reply) => {
      const { body, headers, params } = request
      const { owned, commit, cursor } = body
      const wait = waitSecondsOf(body.wait, headers)
      const asked = {
        ...placeOf(params),
        memberEpoch: body.memberEpoch,
        owned: owned && placesOf(metadata, owned),
        commit: commitOf(commit),
        cursor: cursor === undefined ? undefined : cursorOf(cursor),
        limit: body.limit ?? LIMITS.recordsPerReadDefault,
        maxBytes: body.maxBytes ?? LIMITS.bytesPerReadDefault,
        waitMs: wait * 1000,
      }
      const { selection, uncommitted } = await groups.poll.run(asked, clientGone(reply.raw))
      const refused = uncommitted.map((outcome) => receiptOf(outcome, traceIdOf(request)))
      const more = refused.length === 0 ? {} : { uncommitted: refused }
      return await sendPage(deps, reply, wait, groupPage(groups.renderer, selection, more))
    },
  )
}

async function sendPage(
  { front }: GroupRoutesDeps,
  reply: FastifyReply,
  wait: number,
  page: Buffer,
): Promise<FastifyReply> {
  if (wait > 0 && front.isDraining) reply.header('connection', 'close')
  reply.header('cache-control', 'no-store').header('content-type', 'application/json')
  return await reply.send(page)
}

function commitOf(commit: string | undefined): Cursor | 'before' | undefined {
  if (commit === undefined) return undefined
  return commit === 'before' ? 'before' : cursorOf(commit)
}

function placeOf({ group, member }: { readonly group: string; readonly member: string }) {
  return { groupId: groupIdOf(group), memberId: memberIdOf(member) }
}

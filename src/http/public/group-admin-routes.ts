/** Groups as a whole: list, describe, change, delete. */
import { Type } from 'typebox'
import { byTopic } from '../../front/groups/member-answer.ts'
import {
  DescribedMember,
  Group,
  GroupChangeBody,
  GroupList,
  GroupListQuery,
  GroupSummary,
} from '../../wire/group-admin.ts'
import { GroupParams, TopicPartitions } from '../../wire/group-members.ts'
import type { GroupDescription, GroupMember } from '../../wire/groups.ts'
import { Problem } from '../../wire/problem.ts'
import { ref } from '../../wire/schema.ts'
import type { App } from '../app.ts'
import { registerSchemas } from '../route-rules.ts'
import type { GroupRoutesDeps } from './group-member-routes.ts'
import { groupIdOf } from './group-request.ts'

const TAGS = ['groups']
const GROUP = '/v1/groups/:group'
const problem = { default: ref(Problem) }

export function groupAdminRoutes(app: App, deps: GroupRoutesDeps): void {
  registerSchemas(app, TopicPartitions, DescribedMember, Group, GroupSummary, GroupList)
  registerSchemas(app, GroupChangeBody)
  listRoute(app, deps)
  describeRoute(app, deps)
  changeRoute(app, deps)
  removeRoute(app, deps)
}

function listRoute(app: App, { groups }: GroupRoutesDeps): void {
  app.get(
    '/v1/groups',
    {
      schema: {
        operationId: 'listGroups',
        summary: 'List groups by name',
        tags: TAGS,
        querystring: GroupListQuery,
        response: { 200: ref(GroupList), ...problem },
      },
    },
    async (request, reply) => {
      const { limit, after = '' } = request.query
      const page = await groups.service.list(after, limit, request.signal)
      const listed = page.groups.map(({ groupId, state, members }) => ({
        group: groupId,
        state,
        memberCount: members,
      }))
      const last = page.more ? page.groups.at(-1)?.groupId : undefined
      if (last === undefined) return { groups: listed }
      reply.header('link', `</v1/groups?limit=${limit}&after=${last}>; rel="next"`)
      return { groups: listed, next: last }
    },
  )
}

function describeRoute(app: App, { groups }: GroupRoutesDeps): void {
  app.get(
    GROUP,
    {
      schema: {
        operationId: 'getGroup',
        summary: 'Describe a group and its members',
        tags: TAGS,
        params: GroupParams,
        response: { 200: ref(Group), ...problem },
      },
    },
    async (request) => {
      const groupId = groupIdOf(request.params.group)
      return groupView(await groups.service.describe(groupId, request.signal))
    },
  )
}

function changeRoute(app: App, { groups }: GroupRoutesDeps): void {
  app.patch(
    GROUP,
    {
      schema: {
        operationId: 'changeGroup',
        summary: 'Change settings of a group',
        description: 'Settings that the body does not name stay.',
        tags: TAGS,
        params: GroupParams,
        body: ref(GroupChangeBody),
        response: { 200: ref(Group), ...problem },
      },
    },
    async (request) => {
      const groupId = groupIdOf(request.params.group)
      return groupView(await groups.service.change(groupId, request.body, request.signal))
    },
  )
}

function removeRoute(app: App, { groups }: GroupRoutesDeps): void {
  app.delete(
    GROUP,
    {
      schema: {
        operationId: 'deleteGroup',
        summary: 'Delete a group with its offsets',
        description: 'Only while it has no members.',
        tags: TAGS,
        params: GroupParams,
        response: {
          204: Type.Unsafe<undefined>({ type: 'null', description: 'Deleted' }),
          ...problem,
        },
      },
    },
    async (request, reply) => {
      await groups.service.remove(groupIdOf(request.params.group), request.signal)
      return await reply.code(204).send(undefined)
    },
  )
}

function groupView(description: GroupDescription): Group {
  const { groupId, state, groupEpoch, from, coordinator, assignor, offsetsRetentionMs, members } =
    description
  return {
    group: groupId,
    state,
    groupEpoch,
    from,
    coordinator,
    assignor,
    offsetsRetentionMs,
    members: members.map(memberView),
  }
}

function memberView(member: GroupMember): DescribedMember {
  const { memberId, instanceId, rack, memberEpoch, subscription, away } = member
  const { sessionTimeoutMs, rebalanceTimeoutMs, assigned, revoking, target } = member
  return {
    memberId,
    ...(instanceId !== undefined && { instanceId }),
    ...(rack !== undefined && { rack }),
    memberEpoch,
    ...('topics' in subscription
      ? { topics: [...subscription.topics] }
      : { pattern: subscription.pattern }),
    sessionTimeoutMs,
    rebalanceTimeoutMs,
    away,
    assigned: byTopic(assigned),
    revoking: byTopic(revoking),
    target: byTopic(target),
  }
}

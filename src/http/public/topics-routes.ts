/** Topics: ensure, list, describe, change, delete. */

import { Type } from 'typebox'
import type { TopicName } from '../../core/ids.ts'
import { parseTopicName } from '../../core/ids.ts'
import type { TopicAdmin } from '../../front/topic-admin.ts'
import { topicSummary, topicView } from '../../front/topic-view.ts'
import { assert } from '../../lib/assert.ts'
import type { StorageService } from '../../wire/internal.ts'
import { Problem } from '../../wire/problem.ts'
import { ref } from '../../wire/schema.ts'
import {
  Topic,
  TopicChangeBody,
  TopicList,
  TopicListQuery,
  TopicParams,
  TopicPartition,
  TopicSpecBody,
  TopicSummary,
  UncleanElection,
} from '../../wire/topics.ts'
import type { App } from '../app.ts'
import { registerSchemas } from '../route-rules.ts'

export interface TopicsRoutesDeps {
  readonly topics: TopicAdmin
  readonly storage: Pick<StorageService, 'offsetsOf'>
}

const TAGS = ['topics']
const PATH = '/v1/topics/:topic'
const problem = { default: ref(Problem) }

export function topicsRoutes(app: App, deps: TopicsRoutesDeps): void {
  registerSchemas(
    app,
    TopicSpecBody,
    TopicChangeBody,
    UncleanElection,
    TopicPartition,
    TopicSummary,
    Topic,
    TopicList,
  )
  ensureRoute(app, deps)
  listRoute(app, deps)
  describeRoute(app, deps)
  changeRoute(app, deps)
  removeRoute(app, deps)
}

function ensureRoute(app: App, { topics, storage }: TopicsRoutesDeps): void {
  app.put(
    PATH,
    {
      config: { optionalBody: true },
      schema: {
        operationId: 'ensureTopic',
        summary: 'Create a topic, or make sure that it is as asked for',
        description:
          'Settings that the body does not name are not compared. 201: created. 200: it was there and fits. 409 `topic-differs`: it is there with other settings.',
        tags: TAGS,
        params: TopicParams,
        body: ref(TopicSpecBody),
        response: { 200: ref(Topic), 201: ref(Topic), ...problem },
      },
    },
    async (request, reply) => {
      const name = topicName(request.params.topic)
      const { outcome, topic } = await topics.ensure(name, request.body, request.signal)
      if (outcome === 'created') reply.code(201).header('location', `/v1/topics/${name}`)
      return await topicView(topic, storage)
    },
  )
}

function listRoute(app: App, { topics }: TopicsRoutesDeps): void {
  app.get(
    '/v1/topics',
    {
      schema: {
        operationId: 'listTopics',
        summary: 'List topics by name',
        tags: TAGS,
        querystring: TopicListQuery,
        response: { 200: ref(TopicList), ...problem },
      },
    },
    async (request, reply) => {
      const { limit, after } = request.query
      const page = topics.list(limit, after)
      const last = page.more ? page.topics.at(-1)?.name : undefined
      if (last === undefined) return { topics: page.topics.map(topicSummary) }
      reply.header('link', `</v1/topics?limit=${limit}&after=${last}>; rel="next"`)
      return { topics: page.topics.map(topicSummary), next: last }
    },
  )
}

function describeRoute(app: App, { topics, storage }: TopicsRoutesDeps): void {
  app.get(
    PATH,
    {
      schema: {
        operationId: 'getTopic',
        summary: 'Describe a topic and its partitions',
        tags: TAGS,
        params: TopicParams,
        response: { 200: ref(Topic), ...problem },
      },
    },
    async (request) => await topicView(topics.describe(topicName(request.params.topic)), storage),
  )
}

function changeRoute(app: App, { topics, storage }: TopicsRoutesDeps): void {
  app.patch(
    PATH,
    {
      schema: {
        operationId: 'changeTopic',
        summary: 'Change settings of a topic',
        description:
          'Settings that the body does not name stay. `partitions`, `replicationFactor` and `flush` may be named only as they are.',
        tags: TAGS,
        params: TopicParams,
        body: ref(TopicChangeBody),
        response: { 200: ref(Topic), ...problem },
      },
    },
    async (request) => {
      const name = topicName(request.params.topic)
      return await topicView(await topics.change(name, request.body, request.signal), storage)
    },
  )
}

function removeRoute(app: App, { topics }: TopicsRoutesDeps): void {
  app.delete(
    PATH,
    {
      schema: {
        operationId: 'deleteTopic',
        summary: 'Delete a topic with all its records',
        description: 'The topic is gone with the answer; its space on the disks is freed after it.',
        tags: TAGS,
        params: TopicParams,
        response: {
          202: Type.Unsafe<undefined>({ type: 'null', description: 'Deleted' }),
          ...problem,
        },
      },
    },
    async (request, reply) => {
      await topics.remove(topicName(request.params.topic), request.signal)
      return await reply.code(202).send(undefined)
    },
  )
}

/** The schema has let it through, so it is one. */
function topicName(text: string): TopicName {
  const name = parseTopicName(text)
  assert(name !== undefined, 'the schema of a topic name lets through what is none')
  return name
}

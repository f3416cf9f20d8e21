/** One record by its address: the payload itself, the rest as headers. */
import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { CONTENT_TYPE_HEADER, MEDIA } from '../../core/record.ts'
import type { Front } from '../../front/front.ts'
import type { StoredRecord } from '../../front/record-lookup.ts'
import { findRecord } from '../../front/record-lookup.ts'
import type { TopicImage } from '../../metadata/metadata-image.ts'
import { Problem } from '../../wire/problem.ts'
import { RecordParams } from '../../wire/records.ts'
import { ref } from '../../wire/schema.ts'
import { formatTimestamp } from '../../wire/timestamp.ts'
import type { App } from '../app.ts'
import { clientGone } from '../client-gone.ts'
import { checkPartition } from './delete-records-routes.ts'
import { matchesTag } from './entity-tag.ts'
import { setBytes, setRecordHeader } from './record-headers.ts'

export interface RecordRoutesDeps {
  readonly front: Front
}

const MEDIA_TYPES = {
  [MEDIA.json]: 'application/json',
  [MEDIA.text]: 'text/plain; charset=utf-8',
  [MEDIA.bytes]: 'application/octet-stream',
} as const
/** RFC 9110, section 8.3.1, with parameters as they come. */
const MEDIA_TYPE = /^[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+(?:[\t ]*;[\x20-\x7e]*)?$/
const TRACEPARENT = 'traceparent'

const PAYLOAD = Type.Unsafe<unknown>({ description: 'The payload, as it was produced.' })

export function recordRoutes(app: App, { front }: RecordRoutesDeps): void {
  app.get(
    '/v1/topics/:topic/partitions/:partition/records/:offset',
    {
      config: { compress: true },
      schema: {
        operationId: 'readRecord',
        summary: 'Read one record',
        description:
          'The body is the payload with its media type. `Record-Key`, `Record-Timestamp` and `Record-Header-<name>` are the rest; bytes that a header cannot hold are in `Record-Key-Base64`, and `Record-Headers-Omitted` counts headers that cannot be shown. A tombstone is 204 with `Record-Tombstone: true`.',
        tags: ['records'],
        params: RecordParams,
        response: {
          200: { description: 'The payload', content: { '*/*': { schema: PAYLOAD } } },
          204: Type.Unsafe<undefined>({ type: 'null', description: 'A tombstone' }),
          default: ref(Problem),
        },
      },
    },
    async (request, reply) => {
      const { partition, offset } = request.params
      const topic = front.topic(request.params.topic)
      checkPartition(topic, partition)
      const signal = clientGone(reply.raw)
      const record = await findRecord(front.storage, topic, partition, offset, signal)
      const tag = `"${topic.id}.${partition}.${offset}.${record.leaderEpoch}"`
      // The record never changes, but the name of the topic may become another topic's.
      reply.header('etag', tag).header('cache-control', 'no-cache')
      if (matchesTag(request.headers['if-none-match'], tag)) return await reply.code(304).send()
      return await send(topic, partition, record, reply)
    },
  )
}

function send(
  topic: TopicImage,
  partition: number,
  record: StoredRecord,
  reply: FastifyReply,
): FastifyReply {
  reply
    .header('record-topic', topic.name)
    .header('record-partition', String(partition))
    .header('record-offset', String(record.offset))
    .header('record-timestamp', formatTimestamp(record.timestampMs))
  if (record.key !== null) setBytes(reply, 'record-key', record.key)
  const mediaType = setHeaders(record, reply)
  if (record.value === null) return reply.header('record-tombstone', 'true').code(204).send()
  const { buffer, byteOffset, length } = record.value
  return (
    reply
      .header('content-type', mediaType)
      // What somebody published must not run as a page of this origin.
      .header('content-security-policy', "default-src 'none'; sandbox")
      .send(Buffer.from(buffer, byteOffset, length))
  )
}

/** Sets the record's headers; returns its media type. */
function setHeaders(record: StoredRecord, reply: FastifyReply): string {
  let mediaType: string = MEDIA_TYPES[record.media]
  let omitted = 0
  for (const { name, value } of record.headers) {
    const bytes = value ?? new Uint8Array(0)
    const text = Buffer.from(bytes).toString('latin1')
    if (name === CONTENT_TYPE_HEADER && MEDIA_TYPE.test(text)) mediaType = text
    if (name === TRACEPARENT && /^[\x21-\x7e]+$/.test(text)) reply.header(TRACEPARENT, text)
    if (!setRecordHeader(reply, name, bytes)) omitted++
  }
  if (omitted > 0) reply.header('record-headers-omitted', String(omitted))
  return mediaType
}

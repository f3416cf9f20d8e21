/** The whole suite: what PROTOCOL.md promises, asked of any server by its base URL. */
import { afterAll } from 'vitest'
import { Api } from './api.ts'
import { describeBrowserRules } from './browser-rules.ts'
import { describeCaching } from './caching.ts'
import { describeCluster } from './cluster.ts'
import { describeCompaction } from './compaction.ts'
import { describeConditions } from './conditions.ts'
import { describeCursors } from './cursors.ts'
import { describeDeleteRecords } from './delete-records.ts'
import { describeElections } from './elections.ts'
import { describeErrors } from './errors.ts'
import { describeGroupDelivery } from './group-delivery.ts'
import { describeGroupOffsets } from './group-offsets.ts'
import { describeGroups } from './groups.ts'
import { describeLimits } from './limits.ts'
import { describeLongPoll } from './long-poll.ts'
import { describeOperations } from './operations.ts'
import { describeProduce } from './produce.ts'
import { describePublish } from './publish.ts'
import { describeRead } from './read.ts'
import { describeRecord } from './record.ts'
import { describeRequests } from './requests.ts'
import { describeSettings } from './settings.ts'
import { describeStream } from './stream.ts'
import { describeTopics } from './topics.ts'
import { describeUpload } from './upload.ts'

export function describeConformance(baseUrl: () => string, behindProxy?: () => string): void {
  const api = new Api(baseUrl, behindProxy)
  afterAll(() => api.cleanUp())
  describeRequests(api)
  describeTopics(api)
  describeSettings(api)
  describePublish(api)
  describeConditions(api)
  describeProduce(api)
  describeUpload(api)
  describeRead(api)
  describeCursors(api)
  describeLongPoll(api)
  describeStream(api)
  describeCaching(api)
  describeRecord(api)
  describeDeleteRecords(api)
  describeCompaction(api)
  describeElections(api)
  describeCluster(api)
  describeGroups(api)
  describeGroupOffsets(api)
  describeGroupDelivery(api)
  describeOperations(api)
  describeErrors(api)
  describeLimits(api)
  describeBrowserRules(api)
}

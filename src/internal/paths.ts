/** Where each call between nodes is served. */
export const PATHS = {
  append: '/i/v1/append',
  fetch: '/i/v1/fetch',
  replicaFetch: '/i/v1/replica-fetch',
  offsets: '/i/v1/offsets',
  offsetsOf: '/i/v1/offsets-of',
  resolveOffset: '/i/v1/resolve-offset',
  replicaLogs: '/i/v1/replica-logs',
  handBack: '/i/v1/hand-back',
  deleteRecords: '/i/v1/delete-records',
  groupCalls: '/i/v1/group-calls',
  metadata: '/i/v1/metadata',
  metadataGet: '/i/v1/metadata/get',
  metadataTransact: '/i/v1/metadata/transact',
} as const

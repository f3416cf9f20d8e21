/**
 * Every error that a client can meet, in one table. The answers, the pages behind `type` and the
 * list in PROTOCOL.md are made from it. A code is contract and never changes; its text may.
 */

/** Whether what the request asked for has happened, over all attempts made on its behalf. */
export type Committed = 'no' | 'yes' | 'unknown'

export interface ErrorEntry {
  /** HTTP status of the answer. */
  readonly status: number
  /** Whether the same request may succeed later without a change. */
  readonly retryable: boolean
  readonly committed: Committed
  readonly title: string
  /** What it means and what to do, in Markdown. */
  readonly help: string
  /** What a program does about it where repeating the request would not help. */
  readonly action?: 'rejoin'
}

const entry = (
  status: number,
  retryable: boolean,
  committed: Committed,
  title: string,
  help: string,
): ErrorEntry => ({ status, retryable, committed, title, help })

/** Of a member that the group no longer takes for one. */
const rejoin = (status: number, title: string, help: string): ErrorEntry => ({
  ...entry(status, false, 'no', title, help),
  action: 'rejoin',
})

export const ERRORS = {
  'malformed-request': entry(
    400,
    false,
    'no',
    'Malformed request',
    'The request could not be parsed. `detail` says where. Mend the request; do not repeat it as it is.',
  ),
  'unknown-parameter': entry(
    400,
    false,
    'no',
    'Unknown query parameter',
    'The query has a parameter that this operation does not know. Names are never ignored, so that a misspelt one cannot change what you asked for.',
  ),
  'invalid-parameter': entry(
    400,
    false,
    'no',
    'Invalid parameter',
    'A path, query or header parameter has a value that is not allowed. `errors` names it.',
  ),
  'unsupported-header': entry(
    400,
    false,
    'no',
    'Unsupported header',
    'The request asks, by a header, for a guarantee that this version does not give. It is refused rather than ignored. Leave the header out.',
  ),
  'bad-cursor': entry(
    400,
    false,
    'no',
    'Bad cursor',
    'The cursor is not one that Curlew made for this topic, or it was damaged on the way. Start again with `from=`.',
  ),
  'origin-not-allowed': entry(
    403,
    false,
    'no',
    'Origin not allowed',
    'A browser page from another origin may not write here. Add its origin with `--cors-origin`.',
  ),
  'host-not-allowed': entry(
    403,
    false,
    'no',
    'Host not allowed',
    'The server is bound to loopback and the `Host` header names something else (a protection against DNS rebinding). Use localhost, or name the host with `--allowed-host`.',
  ),
  'route-not-found': entry(
    404,
    false,
    'no',
    'No such resource',
    'Nothing is served at this path. See `/docs` for every path.',
  ),
  'topic-not-found': entry(
    404,
    false,
    'no',
    'No such topic',
    'The topic does not exist. Create it with `PUT /v1/topics/{topic}`; produce creates it only where auto-creation is on.',
  ),
  'partition-not-found': entry(
    404,
    false,
    'no',
    'No such partition',
    'The topic has no partition of this number. `GET /v1/topics/{topic}` lists them.',
  ),
  'node-not-found': entry(
    404,
    false,
    'no',
    'No such node',
    'No node of this id is known. `GET /v1/cluster` lists them.',
  ),
  'group-not-found': entry(
    404,
    false,
    'no',
    'No such group',
    'No group of this name exists. A group is made when its first member joins or its first offset is committed.',
  ),
  'member-not-found': rejoin(
    404,
    'No such member',
    'The group has no member of this id: it left, or was silent for longer than its session. Join again, then read on from what is committed.',
  ),
  'record-not-found': entry(
    404,
    false,
    'no',
    'No such record',
    'No record for readers is at this offset: it holds a control record, or the record was compacted away.',
  ),
  'method-not-allowed': entry(
    405,
    false,
    'no',
    'Method not allowed',
    'The path exists but not with this method. The `Allow` header lists those that do.',
  ),
  'not-acceptable': entry(
    406,
    false,
    'no',
    'Not acceptable',
    'No media type of the `Accept` header can be served here.',
  ),
  'request-timeout': entry(
    408,
    true,
    'no',
    'The request did not arrive in time',
    'The body stopped half-way. Nothing of it was written. Send the request again.',
  ),
  'topic-differs': entry(
    409,
    false,
    'no',
    'The topic exists with other settings',
    '`errors` names each setting that differs. Change a topic with `PATCH`.',
  ),
  'topic-deleting': entry(
    409,
    true,
    'no',
    'The topic is being deleted',
    'A topic of this name is being deleted. Try again in a moment.',
  ),
  'member-fenced': rejoin(
    409,
    'The member is fenced',
    'The group has moved on without this member, or the member epoch is not one that it was given. Stop working on its partitions and join again.',
  ),
  'partition-not-owned': entry(
    409,
    false,
    'no',
    'The partition belongs to somebody else',
    'The member does not own the partition, or did not at the epoch that it names: another member may be reading it from an earlier offset. Nothing was committed for it.',
  ),
  'offset-moved': entry(
    409,
    true,
    'no',
    'The committed offset has moved',
    'Another request of the same member has committed the partition meanwhile. Nothing was committed for it by this one.',
  ),
  'instance-in-use': entry(
    409,
    true,
    'no',
    'The instance is in use',
    'Another member of this `instanceId` is in the group. It must leave, or its session must end, before another one takes its place.',
  ),
  'group-differs': entry(
    409,
    false,
    'no',
    'The group has another assignor',
    'The members of a group share one `assignor`. Change it with `PATCH`.',
  ),
  'group-not-empty': entry(
    409,
    false,
    'no',
    'The group has members',
    'This is done only while a group has no members. Let them leave first.',
  ),
  'group-full': entry(409, true, 'no', 'The group is full', 'A group has at most `limit` members.'),
  'election-refused': entry(
    409,
    false,
    'no',
    'The leader cannot be elected as asked',
    'Either a replica that holds all committed records leads the partition or can lead it, so that nothing needs to be given up; or the replica that is asked for cannot lead now. `detail` says which.',
  ),
  'cursor-expired': entry(
    410,
    false,
    'no',
    'The cursor is older than the log',
    'The records at the cursor were removed by retention or deletion. `earliest` is a cursor for the oldest that are left.',
  ),
  'precondition-failed': entry(
    412,
    false,
    'no',
    'The tail has moved',
    '`If-Match` names another tail than the current one, which `tail` gives. Read up to it, then decide again.',
  ),
  'body-too-large': entry(
    413,
    false,
    'no',
    'The body is too large',
    'The body, also after inflating, must stay below `limit` bytes. Send smaller batches, or upload with `?stream=true`.',
  ),
  'record-too-large': entry(
    413,
    false,
    'no',
    'The record is too large',
    'A record, key and headers included, must stay below `limit` bytes (the topic setting `maxRecordBytes`).',
  ),
  'unsupported-media-type': entry(
    415,
    false,
    'no',
    'Unsupported media type',
    'This operation does not take a body of this `Content-Type`. `detail` lists those it takes.',
  ),
  'unsupported-content-encoding': entry(
    415,
    false,
    'no',
    'Unsupported content encoding',
    'Bodies may be sent with `Content-Encoding: gzip`, `zstd` or `identity`.',
  ),
  'offset-out-of-range': entry(
    416,
    false,
    'no',
    'Past the end of the log',
    'The position is beyond the newest record. `tail` is where the log ends.',
  ),
  'invalid-request': entry(
    422,
    false,
    'no',
    'Invalid request',
    'The body does not fit the schema of this operation. `errors` points at each fault.',
  ),
  'invalid-record': entry(
    422,
    false,
    'no',
    'Invalid record',
    'A record of the request is not valid; `errors` points at it (NDJSON: by line). Nothing of the request was written.',
  ),
  'key-required': entry(
    422,
    false,
    'no',
    'The record has no key',
    'The topic keeps the last record of each key (`cleanup` is `compact` or `both`), so every record must have one; `errors` points at the first that has none. Nothing of the request was written.',
  ),
  'invalid-json': entry(
    422,
    false,
    'no',
    'The body is not JSON',
    'The body was sent as JSON but is not. Nothing was written.',
  ),
  'invalid-offset': entry(
    422,
    false,
    'no',
    'No offset to commit',
    'The offset lies beyond the end of its partition or before its start. Nothing was committed for it.',
  ),
  'too-many-partitions': entry(
    422,
    false,
    'no',
    'Too many partitions',
    'One read covers at most `limit` partitions. Name some with `partition=`.',
  ),
  'too-many-requests': entry(
    429,
    true,
    'no',
    'Too many requests',
    'A bound on requests, streams or waiting readers is reached. Try again after `Retry-After` seconds.',
  ),
  'headers-too-large': entry(
    431,
    false,
    'no',
    'The headers are too large',
    'The request line and the headers together must stay below 32 KiB. Send fewer or shorter ones.',
  ),
  'internal-error': entry(
    500,
    false,
    'unknown',
    'Internal error',
    'Something broke in the server. Its log has the story under `traceId`.',
  ),
  'partition-damaged': entry(
    500,
    false,
    'no',
    'The partition is damaged',
    'The stored bytes do not match their checksum. The node refuses to guess; see `curlew repair`.',
  ),
  overloaded: entry(
    503,
    true,
    'no',
    'Overloaded',
    'A bound on memory or on unfinished writes is reached. Nothing of the request was written. Try again after `Retry-After` seconds.',
  ),
  draining: entry(
    503,
    true,
    'no',
    'Shutting down',
    'The node is shutting down and takes no new work. Try again; another node, or the restarted one, will answer.',
  ),
  'partition-unavailable': entry(
    503,
    true,
    'no',
    'The partition has no leader',
    'Nobody can serve the partition at the moment. Try again after `Retry-After` seconds.',
  ),
  'coordinator-loading': entry(
    503,
    true,
    'no',
    'The coordinator is loading',
    'The node that looks after the group has just begun to and reads what was committed. Nothing was changed. Try again after `Retry-After` seconds.',
  ),
  'metadata-unavailable': entry(
    503,
    true,
    'no',
    'The metadata store does not serve',
    'What the nodes of the cluster agree on cannot be read or changed at the moment. Records of topics that exist go on to be written and read. Try again after `Retry-After` seconds.',
  ),
  'not-enough-replicas': entry(
    503,
    true,
    'no',
    'Not enough in-sync replicas',
    'Fewer replicas are in sync than the topic asks for with `minInsyncReplicas`. Nothing was written.',
  ),
  'outcome-unknown': entry(
    504,
    true,
    'unknown',
    'The outcome is unknown',
    'The records may or may not have been written. Repeating the request may write them twice.',
  ),
  'disk-full': entry(
    507,
    true,
    'no',
    'The disk is full',
    'The node has no space left for records. Nothing of the request was written. Writes go on when space returns.',
  ),
} as const satisfies Record<string, ErrorEntry>

export type ErrorCode = keyof typeof ERRORS

/** One fault inside a request: `pointer` is a JSON pointer, or `line 7` for NDJSON. */
export interface FaultDetail {
  readonly pointer: string
  readonly detail: string
}

export interface ServiceErrorOptions {
  /** Overrides the table where more is known. */
  readonly committed?: Committed
  readonly retryAfterMs?: number
  readonly errors?: readonly FaultDetail[]
  /** Further members of the problem document, such as `limit`, `tail`, `earliest`. */
  readonly members?: Readonly<Record<string, string | number>>
  readonly cause?: unknown
}

/** The one error class that crosses layers; `message` is the human `detail`. */
export class ServiceError extends Error {
  override readonly name = 'ServiceError'
  readonly code: ErrorCode
  readonly options: ServiceErrorOptions

  constructor(code: ErrorCode, detail: string, options: ServiceErrorOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.options = options
  }

  get committed(): Committed {
    return this.options.committed ?? ERRORS[this.code].committed
  }
}

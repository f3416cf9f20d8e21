/** How storage nodes pass the metadata on to fronts, in JSON. */
import { MalformedMessage } from './message.ts'

export interface FeedEntry {
  readonly key: string
  readonly value: string
  readonly createRevision: number
  readonly modRevision: number
}

/** All changes of one revision. `entry` absent: the key was removed. */
export interface FeedChange {
  readonly revision: number
  readonly events: readonly { readonly key: string; readonly entry?: FeedEntry | undefined }[]
}

/** Asks for what comes after a revision; 0 for everything. */
export interface FeedRequest {
  readonly after: number
  readonly waitMs: number
}

/** `entries`: all there are, as of `revision`. `changes`: what came after, none if time was up. */
export type FeedAnswer =
  | { readonly revision: number; readonly entries: readonly FeedEntry[] }
  | { readonly revision: number; readonly changes: readonly FeedChange[] }

export interface FeedTransaction {
  readonly compare: readonly {
    readonly key: string
    readonly target: 'createRevision' | 'modRevision'
    readonly equals: number
  }[]
  readonly put: readonly { readonly key: string; readonly value: string }[]
  readonly remove: readonly string[]
}

export interface FeedOutcome {
  readonly succeeded: boolean
  readonly revision: number
}

type Members = Readonly<Record<string, unknown>>

export function encodeFeed(
  message: FeedRequest | FeedAnswer | FeedTransaction | FeedOutcome | { key: string } | FeedGot,
): Uint8Array {
  return Buffer.from(JSON.stringify(message))
}

export interface FeedGot {
  readonly entry?: FeedEntry | undefined
}

/** Each decoder throws MalformedMessage. */
export function decodeFeedRequest(body: Uint8Array): FeedRequest {
  const members = parse(body)
  return { after: count(members, 'after'), waitMs: count(members, 'waitMs') }
}

export function decodeFeedAnswer(body: Uint8Array): FeedAnswer {
  const members = parse(body)
  const revision = count(members, 'revision')
  if (members['entries'] !== undefined) {
    return { revision, entries: list(members, 'entries').map(entryOf) }
  }
  const changes = list(members, 'changes').map((change) => ({
    revision: count(change, 'revision'),
    events: list(change, 'events').map((event) => ({
      key: text(event, 'key'),
      ...(event['entry'] === undefined ? {} : { entry: entryOf(object(event['entry'])) }),
    })),
  }))
  return { revision, changes }
}

export function decodeFeedKey(body: Uint8Array): string {
  return text(parse(body), 'key')
}

export function decodeFeedGot(body: Uint8Array): FeedGot {
  const { entry } = parse(body)
  return entry === undefined ? {} : { entry: entryOf(object(entry)) }
}

export function decodeFeedTransaction(body: Uint8Array): FeedTransaction {
  const members = parse(body)
  return {
    compare: list(members, 'compare').map((compare) => ({
      key: text(compare, 'key'),
      target: target(text(compare, 'target')),
      equals: count(compare, 'equals'),
    })),
    put: list(members, 'put').map((put) => ({ key: text(put, 'key'), value: text(put, 'value') })),
    remove: array(members, 'remove').map((key) => {
      if (typeof key !== 'string') throw new MalformedMessage('a key is no text')
      return key
    }),
  }
}

export function decodeFeedOutcome(body: Uint8Array): FeedOutcome {
  const members = parse(body)
  return { succeeded: members['succeeded'] === true, revision: count(members, 'revision') }
}

function entryOf(members: Members): FeedEntry {
  return {
    key: text(members, 'key'),
    value: text(members, 'value'),
    createRevision: count(members, 'createRevision'),
    modRevision: count(members, 'modRevision'),
  }
}

function target(name: string): 'createRevision' | 'modRevision' {
  if (name === 'createRevision' || name === 'modRevision') return name
  throw new MalformedMessage('target is not one')
}

function parse(body: Uint8Array): Members {
  try {
    return object(JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.length).toString()))
  } catch (error) {
    throw error instanceof MalformedMessage ? error : new MalformedMessage('the body is not JSON')
  }
}

function object(value: unknown): Members {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Members
  throw new MalformedMessage('an object is missing')
}

function array(members: Members, name: string): readonly unknown[] {
  const value = members[name]
  if (Array.isArray(value)) return value
  throw new MalformedMessage(`${name} is no list`)
}

function list(members: Members, name: string): readonly Members[] {
  return array(members, name).map(object)
}

function text(members: Members, name: string): string {
  const value = members[name]
  if (typeof value === 'string') return value
  throw new MalformedMessage(`${name} is no text`)
}

function count(members: Members, name: string): number {
  const value = members[name]
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw new MalformedMessage(`${name} is no count`)
}

/** Checks of messages in JSON, put together like the types that they give. Each throws MalformedMessage. */
import { MalformedMessage } from './message.ts'

export type Shape<T> = (value: unknown) => T

/** The value was left out; as a member of an object it then is no member. */
type Optional<T> = Shape<T | undefined>

type Shapes<T> = {
  readonly [K in keyof T]-?: Shape<T[K] | undefined> | Shape<T[K]>
}

const MAX_TEXT = 64 * 1024

export const text: Shape<string> = (value) => {
  if (typeof value === 'string' && value.length <= MAX_TEXT) return value
  throw new MalformedMessage('a text is none')
}

export const flag: Shape<boolean> = (value) => {
  if (typeof value === 'boolean') return value
  throw new MalformedMessage('a flag is none')
}

export const nothing: Shape<null> = (value) => {
  if (value === null) return null
  throw new MalformedMessage('there should be nothing')
}

/** A safe integer of at least `min`. */
export function integer(min: number): Shape<number> {
  return (value) => {
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min) return value
    throw new MalformedMessage('a number is not in range')
  }
}

export function oneOf<T extends string>(values: readonly T[]): Shape<T> {
  return (value) => {
    const found = values.find((allowed) => allowed === value)
    if (found !== undefined) return found
    throw new MalformedMessage('a word is not one of those allowed')
  }
}

/** A text of which `parse` makes something. */
export function parsed<T>(parse: (text: string) => T | undefined): Shape<T> {
  return (value) => {
    const result = parse(text(value))
    if (result !== undefined) return result
    throw new MalformedMessage('a name is none')
  }
}

export function optional<T>(shape: Shape<T>): Optional<T> {
  return (value) => (value === undefined ? undefined : shape(value))
}

export function list<T>(shape: Shape<T>, max: number): Shape<readonly T[]> {
  return (value) => {
    if (Array.isArray(value) && value.length <= max) return value.map(shape)
    throw new MalformedMessage('a list is none, or too long')
  }
}

/** Members that are not named are dropped. */
export function object<T extends object>(shapes: Shapes<T>): Shape<T> {
  const entries = Object.entries<Shape<unknown>>(shapes)
  return (value) => {
    const members = membersOf(value)
    const made: Record<string, unknown> = {}
    for (const [name, shape] of entries) {
      const member = shape(members[name])
      if (member !== undefined) made[name] = member
    }
    return made as T
  }
}

export function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>
  }
  throw new MalformedMessage('an object is none')
}

export function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.length).toString('utf8'))
  } catch (error) {
    throw new MalformedMessage('the body is not JSON', { cause: error })
  }
}

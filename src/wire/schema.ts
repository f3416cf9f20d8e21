/**
 * Named schemas. One TypeBox schema is validation, static type and OpenAPI component at once; it is
 * named by `$id`, registered with the application once, and referred to with `ref`.
 */
import type { Static, TSchema, TUnsafe } from 'typebox'
import { Type } from 'typebox'
import { assert } from '../lib/assert.ts'

/** The name under which a schema appears in the OpenAPI document. */
export function schemaName(schema: TSchema): string {
  const id = '$id' in schema ? schema.$id : undefined
  assert(typeof id === 'string', 'a shared schema needs an $id')
  return id as string
}

/** A reference to a named schema that keeps its static type. */
export function ref<T extends TSchema>(schema: T): TUnsafe<Static<T>> {
  return Type.Unsafe<Static<T>>({ $ref: `${schemaName(schema)}#` })
}

/** An integer that JavaScript holds exactly, as offsets and sizes are. */
export function Int64(options: { readonly description?: string; readonly minimum?: number } = {}) {
  return Type.Integer({
    format: 'int64',
    minimum: options.minimum ?? 0,
    maximum: Number.MAX_SAFE_INTEGER,
    ...(options.description === undefined ? {} : { description: options.description }),
  })
}

/** One of some words. */
export function Words<const T extends readonly string[]>(
  words: T,
  options: { readonly description?: string; readonly default?: T[number] } = {},
): TUnsafe<T[number]> {
  return Type.Unsafe<T[number]>({ type: 'string', enum: [...words], ...options })
}

/** Reads members of a stored JSON object with their types checked; unknown members are left alone. */

export class JsonFields {
  readonly #members: Readonly<Record<string, unknown>>

  private constructor(members: Readonly<Record<string, unknown>>) {
    this.#members = members
  }

  /** @throws TypeError, SyntaxError */
  static parse(text: string): JsonFields {
    return new JsonFields(asObject(JSON.parse(text), 'the value'))
  }

  /** All of them, unchecked. */
  get members(): Readonly<Record<string, unknown>> {
    return this.#members
  }

  has(name: string): boolean {
    return this.#members[name] !== undefined
  }

  object(name: string): JsonFields {
    return new JsonFields(asObject(this.#members[name], name))
  }

  /** In [min, 2^53). */
  integer(name: string, min: number): number {
    return asInteger(this.#members[name], name, min)
  }

  /** In [min, max]. */
  number(name: string, min: number, max: number): number {
    const value = this.#members[name]
    if (typeof value === 'number' && value >= min && value <= max) return value
    throw new TypeError(`${name} is not a number from ${min} to ${max}`)
  }

  string(name: string): string {
    const value = this.#members[name]
    if (typeof value !== 'string') throw new TypeError(`${name} is not a string`)
    return value
  }

  boolean(name: string): boolean {
    const value = this.#members[name]
    if (typeof value !== 'boolean') throw new TypeError(`${name} is not true or false`)
    return value
  }

  oneOf<T extends string>(name: string, values: readonly T[]): T {
    const value = values.find((candidate) => candidate === this.#members[name])
    if (value === undefined) throw new TypeError(`${name} is none of ${values.join(', ')}`)
    return value
  }

  /** Each in [0, 2^53). */
  integers(name: string): number[] {
    return this.array(name).map((item) => asInteger(item, name, 0))
  }

  array(name: string): readonly unknown[] {
    const value = this.#members[name]
    if (!Array.isArray(value)) throw new TypeError(`${name} is not an array`)
    return value
  }
}

function asObject(value: unknown, name: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TypeError(`${name} is not an object`)
  }
  return value as Readonly<Record<string, unknown>>
}

function asInteger(value: unknown, name: string, min: number): number {
  if (!Number.isSafeInteger(value) || (value as number) < min) {
    throw new TypeError(`${name} is not an integer of at least ${min}`)
  }
  return value as number
}

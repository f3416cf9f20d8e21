/**
 * Checks requests against their schemas. Bodies are taken as they are; path, query and headers,
 * which arrive as text, are converted to the type that the schema names. Nothing is ever removed.
 */
import type { ErrorObject, Options, ValidateFunction } from 'ajv'
import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import type { FastifySchemaValidationError, FastifyServerOptions } from 'fastify'
import { nearestName } from '../lib/nearest-name.ts'
import type { FaultDetail } from '../lib/service-error.ts'
import { ServiceError } from '../lib/service-error.ts'

/** Faults named in one answer. */
const FAULTS_MAX = 20

interface RouteSchema {
  readonly schema: unknown
  readonly httpPart?: string
}

type Compilers = NonNullable<FastifyServerOptions['schemaController']>['compilersFactory']
type FormatSchemaErrors = NonNullable<FastifyServerOptions['schemaErrorFormatter']>

/**
 * For `schemaController`, the one place that also holds in child plugins with schemas of their own;
 * what `setValidatorCompiler` sets is silently replaced there.
 */
export const compilersFactory = {
  buildValidator,
  // What a handler returns is what leaves: fastify's own serializer drops and converts members.
  buildSerializer: () => () => JSON.stringify,
  // Fastify's types ask for the options and internals of its own compilers, which it never uses.
} as unknown as NonNullable<Compilers>

function buildValidator(externalSchemas: Readonly<Record<string, object>>) {
  const body = makeAjv({ coerceTypes: false, allErrors: true })
  const text = makeAjv({ coerceTypes: 'array', allErrors: true, verbose: true })
  for (const schema of Object.values(externalSchemas)) {
    body.addSchema(schema)
    text.addSchema(schema)
  }
  return ({ schema, httpPart }: RouteSchema) => {
    if (httpPart === 'body') return body.compile(schema as object)
    return inDecimal(text.compile(schema as object), schema as ParameterSchema)
  }
}

interface ParameterSchema {
  readonly properties?: Readonly<
    Record<string, { readonly type?: unknown; readonly items?: { readonly type?: unknown } }>
  >
}

/** Without leading zeros, as offsets in `from=`. */
const DECIMAL = /^(?:0|-?[1-9]\d*)$/

/** Numbers are decimal: the validator by itself takes whatever JavaScript does, such as `0x10` and `1e2`. */
function inDecimal(validate: ValidateFunction, { properties = {} }: ParameterSchema) {
  const names = Object.keys(properties).filter((name) => {
    const { type, items } = properties[name] ?? {}
    return type === 'integer' || items?.type === 'integer'
  })
  const check = (data: Readonly<Record<string, unknown>>): boolean => {
    const name = names.find((one) => !isDecimal(data[one]))
    const isValid = name === undefined && validate(data)
    check.errors = name === undefined ? validate.errors : [notDecimal(name)]
    return isValid
  }
  check.errors = undefined as ErrorObject[] | null | undefined
  return check
}

function isDecimal(value: unknown): boolean {
  if (Array.isArray(value)) return value.every(isDecimal)
  return typeof value !== 'string' || DECIMAL.test(value)
}

function notDecimal(name: string): ErrorObject {
  const params = { type: 'integer' }
  const message = 'must be integer, in decimal digits'
  return { instancePath: `/${name}`, schemaPath: '', keyword: 'type', params, message }
}

function makeAjv(options: Options): Ajv {
  const ajv = new Ajv({ strict: true, useDefaults: true, ...options })
  addFormats.default(ajv)
  return ajv
}

/** Turns the validator's findings into the one error class. */
export const schemaErrorFormatter: FormatSchemaErrors = (errors, part) => {
  if (part === 'body') return bodyError(errors)
  // A name that nobody knows may be why another one is missing.
  const unknown = errors.find(({ keyword }) => keyword === 'additionalProperties')
  if (part === 'querystring' && unknown !== undefined) return unknownName(unknown)
  const [error] = errors
  if (error === undefined) return new ServiceError('invalid-parameter', `the ${part} is not valid`)
  const name = error.instancePath.split('/')[1] ?? String(error.params['missingProperty'] ?? '')
  const kind = part === 'params' ? 'path' : part === 'querystring' ? 'query' : 'header'
  return new ServiceError('invalid-parameter', `${kind} parameter ${name} ${explain(error)}`, {
    errors: [{ pointer: name, detail: explain(error) }],
  })
}

function bodyError(errors: readonly FastifySchemaValidationError[]): ServiceError {
  const faults: FaultDetail[] = errors
    .slice(0, FAULTS_MAX)
    .map((error) => ({ pointer: pointerOf(error), detail: explain(error) }))
  const [first] = faults
  const where = first === undefined || first.pointer === '' ? 'the body' : first.pointer
  return new ServiceError('invalid-request', `${where} ${first?.detail ?? 'is not valid'}`, {
    errors: faults,
  })
}

/** Points at the member itself, also where the finding is about its presence. */
function pointerOf({ instancePath, keyword, params }: FastifySchemaValidationError): string {
  if (keyword === 'additionalProperties') {
    return `${instancePath}/${escapePointer(String(params['additionalProperty']))}`
  }
  return keyword === 'required'
    ? `${instancePath}/${escapePointer(String(params['missingProperty']))}`
    : instancePath
}

function escapePointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1')
}

function explain(error: FastifySchemaValidationError): string {
  if (error.keyword === 'additionalProperties') return 'is not known here'
  if (error.keyword === 'required') return 'is missing'
  if (error.keyword === 'pattern') return outOfPattern(error)
  if (error.keyword === 'not') return 'has a value that is not allowed'
  if (error.keyword === 'enum' && Array.isArray(error.params['allowedValues'])) {
    return `must be one of ${error.params['allowedValues'].join(', ')}`
  }
  return error.message ?? 'is not valid'
}

/** The description, where there is one, says in words what the pattern says. */
function outOfPattern(error: FastifySchemaValidationError): string {
  const { parentSchema } = error as unknown as ErrorObject
  const description: unknown = parentSchema?.['description']
  return typeof description === 'string' ? `must be ${description}` : (error.message ?? '')
}

function unknownName(error: FastifySchemaValidationError): ServiceError {
  const name = String(error.params['additionalProperty'])
  const { parentSchema } = error as unknown as ErrorObject
  const known = Object.keys((parentSchema?.['properties'] as object | undefined) ?? {})
  const near = nearestName(name, known)
  const hint = near === undefined ? '' : `; did you mean ${near}?`
  return new ServiceError('unknown-parameter', `query parameter ${name} is not known here${hint}`, {
    errors: [{ pointer: name, detail: 'is not known here' }],
  })
}

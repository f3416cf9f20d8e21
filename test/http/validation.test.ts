/** Requests that do not fit their schema are told so, in every plugin, and nothing is bent to fit. */
import { Type } from 'typebox'
import { describe, expect, test } from 'vitest'
import type { App } from '../../src/http/app.ts'
import { registerSchemas } from '../../src/http/route-rules.ts'
import { ref } from '../../src/wire/schema.ts'
import { testApp } from './test-app.ts'

const Thing = Type.Object(
  { name: Type.String(), sizes: Type.Optional(Type.Array(Type.Integer())) },
  { $id: 'Thing', additionalProperties: false },
)

function thingRoutes(app: App, prefix: string): void {
  app.post(
    `${prefix}/things/:id`,
    {
      schema: {
        params: Type.Object({ id: Type.Integer({ minimum: 0 }) }),
        querystring: Type.Object(
          {
            acks: Type.Optional(Type.Enum(['0', '1', 'all'], { type: 'string' })),
            limit: Type.Optional(Type.Integer({ maximum: 10 })),
            partition: Type.Optional(Type.Array(Type.Integer())),
          },
          { additionalProperties: false },
        ),
        body: ref(Thing),
      },
    },
    (request) => ({ body: request.body, query: request.query, params: request.params }),
  )
}

function appWithThings(): App {
  const app = testApp()
  registerSchemas(app, Thing)
  thingRoutes(app, '/v1')
  return app
}

describe('bodies', () => {
  test('a wrong type is refused with a pointer to each fault, never converted', async () => {
    await using app = appWithThings()
    const answer = await app.inject({
      method: 'POST',
      url: '/v1/things/1',
      payload: { name: 5, sizes: [1, '2'], colour: 'red' },
    })
    expect(answer.statusCode).toBe(422)
    expect(answer.headers['content-type']).toBe('application/problem+json')
    expect(answer.json()).toMatchObject({
      code: 'invalid-request',
      type: '/problems/invalid-request',
      retryable: false,
      committed: 'no',
      errors: [
        { pointer: '/colour', detail: 'is not known here' },
        { pointer: '/name', detail: 'must be string' },
        { pointer: '/sizes/1', detail: 'must be integer' },
      ],
    })
  })

  test('a child plugin with schemas of its own checks as strictly', async () => {
    await using app = testApp()
    await app.register(async (child) => {
      child.addSchema({ $id: 'Other', type: 'object' })
      registerSchemas(child, Thing)
      thingRoutes(child as App, '/v1/child')
    })
    const answer = await app.inject({
      method: 'POST',
      url: '/v1/child/things/1',
      payload: { name: 5, extra: true },
    })
    expect(answer.statusCode).toBe(422)
    expect(answer.json().errors).toHaveLength(2)
  })

  test.each([
    ['{"name": ', 400, 'malformed-request'],
    ['', 422, 'invalid-request'],
    ['{"name":"a","__proto__":{}}', 400, 'malformed-request'],
    [Buffer.from([0x22, 0xff, 0x22]), 400, 'malformed-request'],
  ])('a body of %j is %i %s', async (payload, status, code) => {
    await using app = appWithThings()
    const answer = await app.inject({
      method: 'POST',
      url: '/v1/things/1',
      headers: { 'content-type': 'application/json' },
      payload,
    })
    expect(answer.statusCode).toBe(status)
    expect(answer.json().code).toBe(code)
  })

  test.each([
    ['application/json', 200],
    ['application/json; charset=utf-8', 200],
    ['application/merge-patch+json', 200],
    ['text/plain', 415],
    ['application/x-www-form-urlencoded', 415],
    ['nonsense', 415],
  ])('a content type of %s is %i', async (type, status) => {
    await using app = appWithThings()
    const answer = await app.inject({
      method: 'POST',
      url: '/v1/things/1',
      headers: { 'content-type': type },
      payload: '{"name":"a"}',
    })
    expect(answer.statusCode).toBe(status)
  })

  test.each([
    ['{"name":"a","name":"b"}', '/name'],
    [String.raw`{"name":"a","n\u0061me":"a"}`, '/name'],
    ['{"name":"a","sizes":[1,{"a/b":[{"x":1,"y":{},"x":2}]}]}', '/sizes/1/a~1b/0/x'],
  ])('a member given twice is refused: %s', async (payload, pointer) => {
    await using app = appWithThings()
    const answer = await app.inject({
      method: 'POST',
      url: '/v1/things/1',
      headers: { 'content-type': 'application/json' },
      payload,
    })
    expect(answer.statusCode).toBe(422)
    expect(answer.json()).toMatchObject({
      code: 'invalid-request',
      detail: `${pointer} is given twice`,
      errors: [{ pointer, detail: 'is given twice' }],
    })
  })

  test('the same name in different places, or as a value, is not the same member', async () => {
    await using app = testApp()
    app.post('/v1/any', (request) => ({ got: request.body }))
    const payload = String.raw`{"a":{"a":"a"},"b":[{"a":1},{"a":2},"\"a\":","{"],"":"\\"}`
    const answer = await app.inject({
      method: 'POST',
      url: '/v1/any',
      headers: { 'content-type': 'application/json' },
      payload,
    })
    expect(answer.json()).toEqual({ got: JSON.parse(payload) })
  })

  test('an optional body may be left out', async () => {
    await using app = testApp()
    app.put(
      '/v1/maybe',
      {
        config: { optionalBody: true },
        schema: { body: Type.Object({ n: Type.Optional(Type.Integer()) }) },
      },
      (request) => ({ got: request.body }),
    )
    const without = await app.inject({ method: 'PUT', url: '/v1/maybe' })
    expect(without.json()).toEqual({ got: {} })
    const wrong = await app.inject({ method: 'PUT', url: '/v1/maybe', payload: { n: '1' } })
    expect(wrong.statusCode).toBe(422)
  })
})

describe('parameters', () => {
  test('text is converted to what the schema says', async () => {
    await using app = appWithThings()
    const answer = await app.inject({
      method: 'POST',
      url: '/v1/things/7?limit=3&partition=4',
      payload: { name: 'a' },
    })
    expect(answer.json()).toEqual({
      body: { name: 'a' },
      query: { limit: 3, partition: [4] },
      params: { id: 7 },
    })
  })

  test('a misspelt name fails loudly and hears what it may have meant', async () => {
    await using app = appWithThings()
    const answer = await app.inject({
      method: 'POST',
      url: '/v1/things/7?acsk=all',
      payload: { name: 'a' },
    })
    expect(answer.statusCode).toBe(400)
    expect(answer.json()).toMatchObject({
      code: 'unknown-parameter',
      detail: 'query parameter acsk is not known here; did you mean acks?',
      errors: [{ pointer: 'acsk' }],
    })
  })

  test.each([
    ['/v1/things/x', 'id'],
    ['/v1/things/-1', 'id'],
    ['/v1/things/1?limit=many', 'limit'],
    ['/v1/things/1?limit=11', 'limit'],
    ['/v1/things/1?limit=1&limit=2', 'limit'],
    ['/v1/things/1?acks=2', 'acks'],
    ['/v1/things/1?partition=1&partition=x', 'partition'],
    ['/v1/things/0x10', 'id'],
    ['/v1/things/1?limit=0x5', 'limit'],
    ['/v1/things/1?limit=1e0', 'limit'],
    ['/v1/things/1?limit=5.0', 'limit'],
    ['/v1/things/1?limit=%205', 'limit'],
    ['/v1/things/1?limit=05', 'limit'],
    ['/v1/things/1?limit=%2B5', 'limit'],
    ['/v1/things/1?limit=', 'limit'],
    ['/v1/things/1?limit=true', 'limit'],
    ['/v1/things/1?partition=0b1', 'partition'],
    ['/v1/things/1?partition=1&partition=1e0', 'partition'],
  ])('%s names the parameter %s', async (url, name) => {
    await using app = appWithThings()
    const answer = await app.inject({ method: 'POST', url, payload: { name: 'a' } })
    expect(answer.statusCode).toBe(400)
    expect(answer.json().code).toBe('invalid-parameter')
    expect(answer.json().errors[0].pointer).toBe(name)
    expect(answer.json().detail).toContain(name)
  })

  test('a route of the contract that says nothing about its query takes none', async () => {
    await using app = testApp()
    app.get('/v1/plain', () => ({ fine: true }))
    app.get('/page', () => ({ fine: true }))
    expect((await app.inject('/v1/plain?x=1')).json().code).toBe('unknown-parameter')
    expect((await app.inject('/page?x=1')).statusCode).toBe(200)
  })

  test('a route of the contract with an open query is a fault of the programmer', () => {
    const app = testApp()
    expect(() =>
      app.get('/v1/open', { schema: { querystring: Type.Object({}) } }, () => ({})),
    ).toThrow('the query of /v1/open is open')
  })
})

describe('answers', () => {
  test('leave as the handler made them, whatever the documented schema', async () => {
    await using app = testApp()
    const schema = { response: { 200: Type.Object({ n: Type.Integer() }) } }
    const wrong: unknown = { n: '12', extra: true }
    app.get('/v1/answer', { schema }, () => wrong as { n: number })
    expect((await app.inject('/v1/answer')).json()).toEqual({ n: '12', extra: true })
  })
})

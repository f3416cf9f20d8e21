/** The program that draws the API reference. Its package hands it out through a fastify plugin only. */
import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import Fastify from 'fastify'

const PREFIX = '/reference'
const SCRIPT = `${PREFIX}/js/scalar.js`

export class ReferenceScript {
  #compressed: Promise<Buffer> | undefined

  /** In gzip; made once, at the first request, because it is large and few servers need it. */
  compressed(): Promise<Buffer> {
    this.#compressed ??= this.#load()
    return this.#compressed
  }

  async plain(): Promise<Buffer> {
    return await promisify(gunzip)(await this.compressed())
  }

  async #load(): Promise<Buffer> {
    const { default: scalar } = await import('@scalar/fastify-api-reference')
    await using carrier = Fastify()
    await carrier.register(scalar, { routePrefix: PREFIX, configuration: { url: '/openapi.json' } })
    const answer = await carrier.inject(SCRIPT)
    return await promisify(gzip)(answer.rawPayload)
  }
}

/** The ceilings of reading: node:http that serves a memory slice, and one that holds requests and releases them all. */
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serveHelper } from '../lib/helper-side.ts'

export interface BareHttpConfig {
  readonly sliceBytes: number
  readonly heldBytes: number
}

await serveHelper(async (config: BareHttpConfig) => {
  const memory = Buffer.alloc(4 * config.sliceBytes, 'x')
  const held = Buffer.alloc(config.heldBytes, 'x')
  const waiting: ServerResponse[] = []
  let turn = 0
  const server = createServer((request, response) => {
    const answer = (body: Buffer) =>
      response
        .writeHead(200, { 'content-type': 'application/json', 'content-length': body.length })
        .end(body)
    if (request.url === '/slice') {
      turn = (turn + 4096) % (3 * config.sliceBytes)
      answer(memory.subarray(turn, turn + config.sliceBytes))
    } else if (request.url === '/hold') {
      waiting.push(response)
    } else {
      request.resume()
      for (const each of waiting.splice(0)) {
        each
          .writeHead(200, { 'content-type': 'application/json', 'content-length': held.length })
          .end(held)
      }
      answer(held.subarray(0, 2))
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port }
})

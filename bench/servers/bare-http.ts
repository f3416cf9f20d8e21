/** The ceilings of reading: node:http that serves a memory slice, and one that holds requests and releases them all. */
import { once } from 'node:events'
import { open } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serveHelper } from '../lib/helper-side.ts'

export interface BareHttpConfig {
  readonly sliceBytes: number
  readonly heldBytes: number
  /** A file that what is published is written to, and synced, before `/synced-release` releases. */
  readonly syncPath?: string
}

await serveHelper(async (config: BareHttpConfig) => {
  const memory = Buffer.alloc(4 * config.sliceBytes, 'x')
  const held = Buffer.alloc(config.heldBytes, 'x')
  const waiting: ServerResponse[] = []
  const file = config.syncPath === undefined ? undefined : await open(config.syncPath, 'w+')
  await file?.write(held)
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
      const release = () => {
        for (const each of waiting.splice(0)) {
          each
            .writeHead(200, { 'content-type': 'application/json', 'content-length': held.length })
            .end(held)
        }
        answer(held.subarray(0, 2))
      }
      if (request.url === '/release' || file === undefined) release()
      else
        void file
          .write(held, 0, held.length, 0)
          .then(() => file.datasync())
          .then(release)
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port }
})

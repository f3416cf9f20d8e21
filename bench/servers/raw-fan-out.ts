/** The ceiling of fan-out: one shared buffer written to every raw socket, nothing else. */
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { createServer } from 'node:net'
import { serveHelper } from '../lib/helper-side.ts'
import { EVENT_MARK } from '../lib/payload.ts'

const STREAM_HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n'
const ACK = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'

/** `POST /publish?events=N&bytes=B` writes N events of B bytes to every socket that sent a GET. */
await serveHelper(async () => {
  const subscribers = new Set<Socket>()
  const frames = new Map<string, Buffer>()

  function frame(events: number, bytes: number): Buffer {
    const key = `${events}x${bytes}`
    let shared = frames.get(key)
    if (shared === undefined) {
      shared = Buffer.from(`${EVENT_MARK}${'x'.repeat(bytes - 3)}\n\n`.repeat(events))
      frames.set(key, shared)
    }
    return shared
  }

  const server = createServer((socket) => {
    socket.setNoDelay(true)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => subscribers.delete(socket))
    socket.on('data', (chunk) => {
      const publish = /^POST \/publish\?events=(\d+)&bytes=(\d+) /.exec(chunk.toString('latin1'))
      if (publish === null) {
        subscribers.add(socket)
        socket.write(STREAM_HEAD)
        return
      }
      const shared = frame(Number(publish[1]), Number(publish[2]))
      for (const subscriber of subscribers) subscriber.write(shared)
      socket.write(ACK)
    })
  }).listen(0, '127.0.0.1', 4096)
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port }
})

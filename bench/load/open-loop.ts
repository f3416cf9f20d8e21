/**
 * Open-loop load: requests fall due at a fixed rate whether or not earlier ones were answered, and
 * latency counts from when a request was due, so a stall is charged to every request it delays.
 */

import { serveHelper } from '../lib/helper-side.ts'
import { Histogram } from '../lib/histogram.ts'
import type { Sample } from '../lib/sample.ts'
import type { HttpConnection } from './http-connection.ts'
import { requestBytes, withConnections } from './http-connection.ts'

export interface OpenLoopConfig {
  readonly port: number
  readonly path: string
  readonly contentType: string
  readonly bodyBase64: string
  readonly connections: number
}

export interface OpenLoopCommand {
  readonly perSecond: number
  readonly seconds: number
}

await serveHelper(async (config: OpenLoopConfig) => {
  const request = requestBytes('POST', config.port, config.path, {
    contentType: config.contentType,
    content: Buffer.from(config.bodyBase64, 'base64'),
  })
  return {
    run: (command: OpenLoopCommand) =>
      withConnections(config.port, config.connections, (connections) =>
        openLoop(connections, request, command),
      ),
  }
})

const LONGEST_SLEEP_MS = 0.1
const bed = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))

/**
 * Until the next request is due, though answers wait for it: whoever turns instead takes a core from the
 * threads of the server and of the disk, and measures that. A timer of a millisecond would send in bursts.
 */
function sleep(forMs: number): void {
  if (forMs > 0) Atomics.wait(bed, 0, 0, Math.min(forMs, LONGEST_SLEEP_MS))
}

function openLoop(
  connections: readonly HttpConnection[],
  request: Buffer,
  command: OpenLoopCommand,
): Promise<Sample> {
  const latencies = new Histogram()
  const idle = [...connections]
  const total = Math.floor(command.perSecond * command.seconds)
  const intervalMs = 1000 / command.perSecond
  const cpuBefore = process.cpuUsage()
  const startMs = performance.now()
  let sent = 0

  return new Promise((resolve, reject) => {
    function send(connection: HttpConnection): void {
      const dueMs = startMs + sent++ * intervalMs
      connection.exchange(request, ({ status }) => {
        if (status >= 300) return reject(new Error(`status ${status}`))
        latencies.record(performance.now() - dueMs)
        idle.push(connection)
        if (latencies.total === total) finish()
      })
    }
    function finish(): void {
      const elapsedMs = performance.now() - startMs
      const cpu = process.cpuUsage(cpuBefore)
      resolve({
        perSecond: (total / elapsedMs) * 1000,
        p50Ms: latencies.percentileMs(0.5),
        p99Ms: latencies.percentileMs(0.99),
        loadCores: (cpu.user + cpu.system) / 1000 / elapsedMs,
      })
    }
    function turn(): void {
      const elapsedMs = performance.now() - startMs
      const due = Math.min(total, Math.floor(elapsedMs / intervalMs) + 1)
      while (sent < due) {
        const connection = idle.pop()
        if (connection === undefined) break
        send(connection)
      }
      if (sent === total) return
      sleep(due * intervalMs - elapsedMs)
      setImmediate(turn)
    }
    turn()
  })
}

/** The programs of docs/groups.md, run as they stand there: two of each share a topic. */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { call, callJson } from '../support/http-client.ts'
import type { TempDirectory } from '../support/temp-directory.ts'
import { makeTempDirectory } from '../support/temp-directory.ts'
import { TempServer } from '../support/temp-server.ts'

const PAGE = join(import.meta.dirname, '..', '..', 'docs', 'groups.md')
const TOPIC = 'orders'
const RECORDS = 60

let directory: TempDirectory
let server: TempServer

beforeAll(async () => {
  directory = await makeTempDirectory('group-examples')
  server = await TempServer.start('group-examples-server')
  await callJson(server.baseUrl, 'PUT', `/v1/topics/${TOPIC}`, { partitions: 6 })
})
afterAll(async () => {
  await server.close()
  await directory.remove()
})

/** The block of code behind `<!-- example: name -->`. */
async function example(name: string): Promise<string> {
  const text = await readFile(PAGE, 'utf8')
  const [, block] = text.split(`<!-- example: ${name} -->\n`)
  const code = /^```\w+\n([\s\S]*?)^```$/m.exec(block ?? '')?.[1]
  if (code === undefined) throw new Error(`there is no example ${name}`)
  return code
}

class Consumer {
  output = ''
  readonly exited: Promise<number | null>
  readonly child: ChildProcess

  constructor(command: readonly string[], cwd: string) {
    const [executable = '', ...args] = command
    const env = { ...process.env, CURLEW: server.baseUrl }
    this.child = spawn(executable, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
    const keep = (text: string): void => {
      this.output += text
    }
    this.child.stdout?.setEncoding('utf8').on('data', keep)
    this.child.stderr?.setEncoding('utf8').on('data', keep)
    this.exited = new Promise((resolve) => this.child.once('exit', resolve))
  }

  /** Numbers of the orders that it has printed. */
  get orders(): number[] {
    return [...this.output.matchAll(/\{"?order"?: ?(\d+) ?\}/g)].map(([, order]) => Number(order))
  }
}

async function produce(from: number): Promise<void> {
  const records = Array.from({ length: RECORDS }, (_, i) => ({
    value: { order: from + i },
    partition: i % 6,
  }))
  const answer = await callJson(server.baseUrl, 'POST', `/v1/topics/${TOPIC}/records`, { records })
  expect(answer.status, answer.text).toBe(200)
}

async function untilShared(group: string): Promise<void> {
  await eventually('the partitions are shared', async () => {
    const answer = await call(server.baseUrl, 'GET', `/v1/groups/${group}`)
    if (answer.status !== 200) return
    const { members } = answer.json<{ members: { assigned: { partitions: number[] }[] }[] }>()
    const counts = members.map(({ assigned }) => assigned[0]?.partitions.length)
    return counts.length === 2 && counts.every((count) => count === 3) ? true : undefined
  })
}

const MAIN = (group: string): string => `
import { existsSync } from 'node:fs'
import { consume } from './consume.ts'
const stop = new AbortController()
const look = setInterval(() => existsSync('stop') && stop.abort(), 100)
await consume('${group}', ['${TOPIC}'], async (value) => console.log(JSON.stringify(value)), stop.signal)
clearInterval(look)
`

describe('the examples of docs/groups.md', () => {
  it.each([
    ['consume.sh', 'billing', ['bash', 'consume.sh']],
    ['consume.ts', 'shipping', [process.execPath, 'main.ts']],
  ])(
    '%s shares the work, commits it all, and leaves',
    async (name, group, command) => {
      const cwd = join(directory.path, name)
      await mkdir(cwd)
      await writeFile(join(cwd, name), await example(name))
      await writeFile(join(cwd, 'main.ts'), MAIN(group))
      await writeFile(join(cwd, 'package.json'), '{"type":"module"}')
      const consumers = [new Consumer(command, cwd), new Consumer(command, cwd)]
      try {
        await untilShared(group)
        const base = name.endsWith('sh') ? 0 : 1_000
        await produce(base)
        const seen = (): Set<number> => new Set(consumers.flatMap(({ orders }) => orders))
        const told = (): string => consumers.map(({ output }) => output).join('\n---\n')
        const all = Array.from({ length: RECORDS }, (_, i) => base + i)
        await eventually('all orders are consumed', () =>
          all.every((order) => seen().has(order)) ? true : undefined,
        ).catch((error: unknown) => {
          throw new Error(told(), { cause: error })
        })
        for (const { orders } of consumers) expect(orders.length).toBeGreaterThan(0)
        await writeFile(join(cwd, 'stop'), '')
        for (const { exited } of consumers) expect(await exited, told()).toBe(0)
        await eventually('everything is committed, and they have left', async () => {
          const lag = (await call(server.baseUrl, 'GET', `/v1/groups/${group}/lag`)).json<{
            records: number
          }>()
          const { state } = (await call(server.baseUrl, 'GET', `/v1/groups/${group}`)).json<{
            state: string
          }>()
          return lag.records === 0 && state === 'empty' ? true : undefined
        })
      } finally {
        for (const { child } of consumers) child.kill('SIGKILL')
      }
    },
    120_000,
  )
})

/** A cluster whose nodes know each other by certificates, and etcd as well. */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { NODE, STRANGER } from '../http/tls-credentials.ts'
import { ENTRY } from '../support/curlew-process.ts'
import { EtcdProcess, hasEtcd } from '../support/etcd-process.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/free-port.ts'
import { call, callJson } from '../support/http-client.ts'
import type { TempDirectory } from '../support/temp-directory.ts'
import { makeTempDirectory } from '../support/temp-directory.ts'

interface Running {
  readonly child: ChildProcess
  output: string
}

const running: Running[] = []

function start(args: readonly string[], env: Readonly<Record<string, string>> = {}): Running {
  const child = spawn(process.execPath, [ENTRY, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  const node: Running = { child, output: '' }
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      node.output += text
    })
  }
  running.push(node)
  return node
}

async function ready(node: Running, url: string): Promise<void> {
  await eventually('ready', async () => {
    if (node.child.exitCode !== null) throw new Error(node.output)
    const answer = await call(url, 'GET', '/readyz')
    return answer.status === 200 ? true : undefined
  }).catch((error: unknown) => {
    throw new Error(node.output, { cause: error })
  })
}

describe.runIf(hasEtcd())('mutual TLS without a secret', () => {
  let directory: TempDirectory
  let etcd: EtcdProcess
  let storage = ''
  let front = ''
  let frontPort = 0

  const pem = (name: string, text: string): string => {
    const path = join(directory.path, name)
    writeFileSync(path, text)
    return path
  }
  const tls = (who: typeof NODE, name: string) => [
    `--tls-cert=${pem(`${name}.crt`, who.cert)}`,
    `--tls-key=${pem(`${name}.key`, who.key)}`,
    `--tls-ca=${pem(`${name}-ca.crt`, NODE.ca)}`,
  ]

  beforeAll(async () => {
    directory = await makeTempDirectory('cluster-tls')
    const [ca, cert, key] = [
      pem('ca.crt', NODE.ca),
      pem('etcd.crt', NODE.cert),
      pem('etcd.key', NODE.key),
    ]
    etcd = await EtcdProcess.start({
      scheme: 'https',
      args: [`--cert-file=${cert}`, `--key-file=${key}`, `--trusted-ca-file=${ca}`],
    })
    const [port, opsPort] = [await freePort(), await freePort()]
    frontPort = await freePort()
    storage = `https://127.0.0.1:${port}`
    front = `http://127.0.0.1:${frontPort}`
    const node = start([
      'storage',
      '--node-id=1',
      `--port=${port}`,
      `--ops-port=${opsPort}`,
      `--data=${join(directory.path, 'data')}`,
      '--journal-file-bytes=18MiB',
      '--journal-bytes=72MiB',
      `--etcd=${etcd.url}`,
      `--etcd-ca=${ca}`,
      `--etcd-cert=${cert}`,
      `--etcd-key=${key}`,
      ...tls(NODE, 'node'),
    ])
    const speaker = start([
      'front',
      `--port=${frontPort}`,
      `--storage=${storage}`,
      ...tls(NODE, 'front'),
    ])
    await ready(node, `http://127.0.0.1:${opsPort}`)
    await ready(speaker, front)
  })
  afterAll(async () => {
    for (const { child } of running) child.kill('SIGKILL')
    await etcd.close()
    await directory.remove()
  })

  test('records go in and out', async () => {
    const made = await callJson(front, 'PUT', '/v1/topics/orders', { partitions: 1 })
    expect(made.status).toBe(201)
    const large = 'x'.repeat(400_000)
    const written = await callJson(front, 'POST', '/v1/topics/orders/publish', { large })
    expect(written.status).toBe(201)
    const read = await call(front, 'GET', '/v1/topics/orders/records')
    expect(read.json<{ records: { value: unknown }[] }>().records[0]?.value).toEqual({ large })
  })

  test('a stranger, and a node that knows a secret instead, get nothing', async () => {
    const path = ['front', `--storage=${storage}`, '--port=0']
    const stranger = start([...path, ...tls(STRANGER, 'stranger')])
    const secretive = start([...path, ...tls(NODE, 'secretive')], {
      CURLEW_CLUSTER_SECRET: 'a secret of its own',
    })
    await eventually('both are told', async () => {
      const words = stranger.output.includes('waiting') || stranger.output.includes('again')
      return words && secretive.output.includes('bad-signature') ? true : undefined
    })
    expect(stranger.output + secretive.output).not.toContain('listening')
  })

  test('certificates are read again; broken ones leave those before in place', async () => {
    const [node] = running as [Running]
    const told = async (words: string, times = 1) => {
      await eventually(words, async () => {
        return node.output.split(words).length > times || undefined
      })
    }
    const publish = async () => {
      const guest = start(['front', `--storage=${storage}`, '--port=0', ...tls(NODE, 'guest')])
      await eventually('it listens', async () => guest.output.includes('listening') || undefined)
      guest.child.kill('SIGKILL')
    }
    pem('node.crt', NODE.cert.replace('MIIBijCCATCg', 'nonsense'))
    node.child.kill('SIGHUP')
    await told('new certificates cannot be used; those before stay')
    await publish()
    tls(STRANGER, 'node')
    node.child.kill('SIGHUP')
    await told('new certificates are used from now on')
    const guest = start(['front', `--storage=${storage}`, '--port=0', ...tls(NODE, 'guest')])
    await eventually('it is turned away', async () => guest.output.includes('waiting') || undefined)
    expect(guest.output).not.toContain('listening')
    tls(NODE, 'node')
    node.child.kill('SIGHUP')
    await told('new certificates are used from now on', 2)
    await eventually('it is let in', async () => guest.output.includes('listening') || undefined)
    expect(node.child.exitCode).toBeNull()
  })

  test('a plain call is not answered', async () => {
    const plain = storage.replace('https:', 'http:')
    await expect(fetch(`${plain}/i/v1/metadata`, { method: 'POST' })).rejects.toThrow()
  })
})

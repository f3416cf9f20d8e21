/**
 * `npm run cluster`: a whole cluster as local processes - etcd, three storage nodes, two fronts, and
 * the proxy with the configuration that docker-compose.yml uses. Data stay in ./data/cluster;
 * `--fresh` begins anew. What is killed starts again. Ctrl-C stops everything, in the reverse order.
 */
import type { ChildProcess } from 'node:child_process'
import { spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'

const ROOT = join(import.meta.dirname, '..')
const { values: flags } = parseArgs({
  options: {
    data: { type: 'string', default: join(ROOT, 'data', 'cluster') },
    /** The proxy's port; the others follow from it. */
    port: { type: 'string', default: '8080' },
    fresh: { type: 'boolean', default: false },
  },
})
const DATA = resolve(flags.data)
const PORT = Number(flags.port)
const HOST = '127.0.0.1'
const PORTS = {
  fronts: [PORT + 1, PORT + 2],
  storage: [PORT + 11, PORT + 12, PORT + 13],
  ops: [PORT + 21, PORT + 22, PORT + 23],
  etcd: PORT + 31,
  etcdPeer: PORT + 32,
}
const READY_MS = 60_000
const STOP_MS = 20_000
/** What was killed comes back after so long, as a supervisor would have it. */
const RESTART_MS = 15_000
/** How parts end after a plain `kill`, in good order: HAProxy says 128 and the signal. */
const ENDED_BY_KILL = new Set([0, 143])

const TOOLS = [
  { name: 'etcd', package: 'etcd-server', paths: ['/usr/bin/etcd'] },
  { name: 'haproxy', package: 'haproxy', paths: ['/usr/sbin/haproxy'] },
] as const

interface Part {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Answers with success when it can serve. */
  readonly ready: string
}

const running: { readonly name: string; readonly child: ChildProcess }[] = []
let isStopping = false

/** Debian's packages where that is possible, else a word on what to do. */
function bringTools(): Record<string, string> {
  const found: Record<string, string> = {}
  for (const { name, package: debian, paths } of TOOLS) {
    if (!paths.some(existsSync)) {
      const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
      const mayInstall = process.getuid?.() === 0 && existsSync('/etc/debian_version')
      const install = ['install', '-y', '-qq', '--no-install-recommends', debian]
      const hasIt =
        mayInstall &&
        (spawnSync('apt-get', install, { env, stdio: 'ignore' }).status === 0 ||
          (spawnSync('apt-get', ['update', '-qq'], { env, stdio: 'ignore' }).status === 0 &&
            spawnSync('apt-get', install, { env, stdio: 'inherit' }).status === 0))
      if (!hasIt) throw new Error(`${name} is missing; as root: apt-get install ${debian}`)
    }
    found[name] = paths.find(existsSync) ?? name
  }
  return found
}

/** The same at every start on these data. */
function secret(): string {
  const path = join(DATA, 'secret')
  if (!existsSync(path)) writeFileSync(path, randomBytes(32).toString('hex'), { mode: 0o600 })
  return readFileSync(path, 'utf8')
}

function parts(tools: Record<string, string>): Part[] {
  const url = (port: number) => `http://${HOST}:${port}`
  const node = process.execPath
  const curlew = join(ROOT, 'src', 'bin', 'curlew.ts')
  const env = { CURLEW_CLUSTER_SECRET: secret(), CURLEW_LOG_FORMAT: 'text' }
  const seeds = PORTS.storage.map(url).join(',')
  const [etcd, peer] = [url(PORTS.etcd), url(PORTS.etcdPeer)]
  const fronts = PORTS.fronts.map((port) => `${HOST}:${port}`)
  return [
    {
      name: 'etcd',
      command: tools['etcd'] as string,
      args: [
        `--data-dir=${join(DATA, 'etcd')}`,
        `--listen-client-urls=${etcd}`,
        `--advertise-client-urls=${etcd}`,
        `--listen-peer-urls=${peer}`,
        `--initial-advertise-peer-urls=${peer}`,
        `--initial-cluster=default=${peer}`,
        '--auto-compaction-mode=periodic',
        '--auto-compaction-retention=1h',
        '--experimental-watch-progress-notify-interval=5s',
        '--log-level=error',
      ],
      ready: `${etcd}/health`,
    },
    ...PORTS.storage.map((port, i) => ({
      name: `storage-${i + 1}`,
      command: node,
      args: [
        curlew,
        'storage',
        `--node-id=${i + 1}`,
        `--etcd=${etcd}`,
        `--port=${port}`,
        `--ops-port=${PORTS.ops[i]}`,
        `--rack=${'abc'[i]}`,
        `--data=${join(DATA, `storage-${i + 1}`)}`,
      ],
      env,
      ready: `${url(PORTS.ops[i] as number)}/readyz`,
    })),
    ...PORTS.fronts.map((port, i) => ({
      name: `front-${i + 1}`,
      command: node,
      args: [curlew, 'front', `--port=${port}`, `--storage=${seeds}`],
      env,
      ready: `${url(port)}/readyz`,
    })),
    {
      name: 'proxy',
      command: tools['haproxy'] as string,
      args: ['-db', '-f', join(ROOT, 'deploy', 'haproxy.cfg')],
      env: {
        PROXY_BIND: `${HOST}:${PORT}`,
        FRONT_1: fronts[0] as string,
        FRONT_2: fronts[1] as string,
      },
      ready: `${url(PORT)}/readyz`,
    },
  ]
}

function start(part: Part): ChildProcess {
  const { name, command, args, env } = part
  const child = spawn(command, args, {
    cwd: DATA,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A Ctrl-C is for this process, which stops the others in order.
    detached: true,
  })
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      if (line.trim() !== '') console.log(`${name.padEnd(9)} | ${line}`)
    })
  }
  child.once('exit', (code, signal) => {
    if (isStopping) return
    if (signal === null && !ENDED_BY_KILL.has(code ?? 0)) {
      console.error(`${name} failed (${code}); stopping the cluster`)
      process.exitCode = 1
      void stop()
      return
    }
    const how = signal === null ? 'was stopped' : `was killed (${signal})`
    console.log(`${name} ${how}; it starts again in ${RESTART_MS / 1000} s`)
    running.splice(
      running.findIndex((part) => part.child === child),
      1,
    )
    setTimeout(() => isStopping || start(part), RESTART_MS)
  })
  running.push({ name, child })
  return child
}

async function untilReady({ name, ready }: Part): Promise<void> {
  const deadlineMs = performance.now() + READY_MS
  while (!isStopping) {
    const isReady = await fetch(ready, { signal: AbortSignal.timeout(1000) }).then(
      ({ ok }) => ok,
      () => false,
    )
    if (isReady) return
    if (performance.now() > deadlineMs) throw new Error(`${name} is not ready after a minute`)
    await sleep(100)
  }
}

async function stop(): Promise<void> {
  if (isStopping) return
  isStopping = true
  for (const { name, child } of running.toReversed()) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    const exited = new Promise((done) => child.once('exit', done))
    child.kill('SIGTERM')
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
    await exited
    clearTimeout(late)
    console.log(`${name} stopped`)
  }
}

function banner(): string {
  const url = `http://${HOST}:${PORT}`
  const list = (ports: readonly number[]) =>
    ports.map((port) => `http://${HOST}:${port}`).join('  ')
  return `
  Curlew, a cluster on this machine

  Clients     ${url}
  Reference   ${url}/docs
  Fronts      ${list(PORTS.fronts)}
  Storage     ${list(PORTS.storage)}
  Operations  ${list(PORTS.ops)}  (/metrics, /readyz)
  etcd        http://${HOST}:${PORTS.etcd}
  Data        ${DATA}

  Try it, and kill what you like meanwhile:
    curl -X PUT ${url}/v1/topics/orders
    curl -d '{"hello":"world"}' ${url}/v1/topics/orders/publish
    curl ${url}/v1/topics/orders/records

`
}

process.on('SIGINT', () => void stop())
process.on('SIGTERM', () => void stop())
try {
  const tools = bringTools()
  if (flags.fresh) rmSync(DATA, { recursive: true, force: true })
  mkdirSync(DATA, { recursive: true })
  for (const part of parts(tools)) {
    if (isStopping) break
    start(part)
    // Storage nodes need not wait for each other.
    if (!part.name.startsWith('storage')) await untilReady(part)
  }
  if (!isStopping) console.log(banner())
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
  await stop()
}

/**
 * `npm test`: everything that must hold before a change lands. Brings the Debian packages that some
 * suites need, then lints, checks types and runs all tests. Ends with the count of tests.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'

const ROOT = join(import.meta.dirname, '..')

interface Tool {
  readonly package: string
  readonly path: string
  readonly why: string
}

const TOOLS: readonly Tool[] = [
  { package: 'chromium', path: '/usr/bin/chromium', why: 'pages and streams in a browser' },
  { package: 'curl', path: '/usr/bin/curl', why: 'the quick start, as a user types it' },
  { package: 'etcd-server', path: '/usr/bin/etcd', why: 'metadata of a cluster, in a real etcd' },
  { package: 'openssl', path: '/usr/bin/openssl', why: 'certificates for TLS' },
  { package: 'e2fsprogs', path: '/sbin/mkfs.ext4', why: 'a disk that loses what was not synced' },
  { package: 'haproxy', path: '/usr/sbin/haproxy', why: 'fronts of a cluster behind one address' },
  { package: 'iproute2', path: '/sbin/ip', why: 'networks that can be cut' },
  { package: 'nftables', path: '/usr/sbin/nft', why: 'networks that can be cut' },
  { package: 'nginx-light', path: '/usr/sbin/nginx', why: 'streams behind a proxy' },
  { package: 'util-linux', path: '/usr/bin/mount', why: 'disks of their own for crash tests' },
]

function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): boolean {
  const { status, error } = spawnSync(command, args, {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  })
  if (error !== undefined) console.error(`${command}: ${error.message}`)
  return status === 0
}

/** Installs what is missing where that is possible; tests that go without say so themselves. */
function bringTools(): void {
  const missing = TOOLS.filter(({ path }) => !existsSync(path))
  const aptHasLists = run('sh', [
    '-c',
    'apt-cache dumpavail 2>/dev/null | grep -q "^Package: chromium$"',
  ])
  if (missing.length === 0 && aptHasLists) return
  const names = missing.map((tool) => tool.package)
  if (process.getuid?.() !== 0 || !existsSync('/etc/debian_version')) {
    for (const tool of missing) {
      console.warn(
        `not installed: ${tool.package} (${tool.why}). As root: apt-get install ${tool.package}`,
      )
    }
    return
  }
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  console.log(`installing ${['package lists', ...names].join(', ')}`)
  run('apt-get', ['update', '-qq'], env)
  if (names.length > 0) {
    run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...names], env)
  }
}

interface Report {
  readonly numPassedTests: number
  readonly numFailedTests: number
}

function runVitest(args: readonly string[]): Report | undefined {
  const directory = mkdtempSync(join(tmpdir(), 'curlew-tests-'))
  const file = join(directory, 'report.json')
  try {
    const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs')
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`]
    const passed = run(process.execPath, [vitest, 'run', ...reporters, ...args])
    if (!existsSync(file)) return undefined
    const report = JSON.parse(readFileSync(file, 'utf8')) as Report
    // An error outside of any test fails the run, too.
    return passed || report.numFailedTests > 0 ? report : { ...report, numFailedTests: 1 }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function step(name: string, done: () => boolean): boolean {
  const startedMs = performance.now()
  console.log(`\n== ${name}`)
  const passed = done()
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
  console.log(`== ${name}: ${passed ? 'passed' : 'FAILED'} in ${seconds} s`)
  return passed
}

const tsc = join(ROOT, 'node_modules', 'typescript7', 'bin', 'tsc')
const biome = join(ROOT, 'node_modules', '.bin', 'biome')

step('tools', () => {
  bringTools()
  return true
})
const checks = [
  step('lint', () => run(biome, ['ci', `--colors=${process.stdout.isTTY ? 'force' : 'off'}`, '.'])),
  step('types of src', () => run(process.execPath, [tsc, '-p', 'tsconfig.json'])),
  step('types of tests', () => run(process.execPath, [tsc, '-p', 'test/tsconfig.json'])),
]
let report: Report | undefined
step('tests', () => {
  report = runVitest(process.argv.slice(2))
  return report?.numFailedTests === 0
})
const failed = (report?.numFailedTests ?? 1) + checks.filter((passed) => !passed).length
console.log(`\n${report?.numPassedTests ?? 0} passed, ${failed} failed`)
process.exitCode = failed === 0 && (report?.numPassedTests ?? 0) > 0 ? 0 : 1

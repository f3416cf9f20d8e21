/** Settings from flags, environment and file: precedence, units, and every mistake by its name. */
import { describe, expect, test } from 'vitest'
import { loadConfig } from '../../src/config/load-config.ts'
import { ConfigError } from '../../src/config/setting-value.ts'
import { describeSettings } from '../../src/config/settings-help.ts'
import { flagOf, ROLES, SETTINGS } from '../../src/config.ts'

const MIB = 1024 * 1024

function load(
  args: readonly string[] = [],
  env: Record<string, string> = {},
  files: Record<string, string> = {},
) {
  const readTextFile = (path: string): string => {
    const text = files[path]
    if (text === undefined) throw new Error('no such file')
    return text
  }
  return loadConfig('standalone', { args, env, readTextFile })
}

describe('values', () => {
  test('what nobody says has its default', () => {
    expect(load()).toMatchObject({
      host: '127.0.0.1',
      port: 8080,
      data: './data',
      corsOrigin: [],
      autoCreateTopics: true,
      maxRequestBytes: 16 * MIB,
      drainTimeoutMs: 15_000,
      logLevel: 'info',
    })
  })

  test('a flag wins over the environment, that over the file, that over the default', () => {
    const files = { 'c.json': '{"port": 1, "host": "10.0.0.1", "logLevel": "warn"}' }
    const env = { CURLEW_PORT: '2', CURLEW_HOST: '10.0.0.2' }
    expect(load(['--config=c.json', '--port=3'], env, files)).toMatchObject({
      port: 3,
      host: '10.0.0.2',
      logLevel: 'warn',
      data: './data',
    })
    expect(load([], { CURLEW_CONFIG: 'c.json' }, files).port).toBe(1)
  })

  test.each([
    ['--max-request-bytes=2MiB', { maxRequestBytes: 2 * MIB }],
    ['--max-request-bytes=2 mb', { maxRequestBytes: 2_000_000 }],
    ['--max-request-bytes=1.5MiB', { maxRequestBytes: 1.5 * MIB }],
    ['--max-request-bytes=4096', { maxRequestBytes: 4096 }],
    ['--drain-timeout-ms=2m', { drainTimeoutMs: 120_000 }],
    ['--drain-timeout-ms=750', { drainTimeoutMs: 750 }],
    ['--no-auto-create-topics', { autoCreateTopics: false }],
    ['--auto-create-topics', { autoCreateTopics: true }],
    ['--auto-create-topics=false', { autoCreateTopics: false }],
    ['--cors-origin=https://Shop.example', { corsOrigin: ['https://shop.example'] }],
    ['--cors-origin=http://localhost:3000', { corsOrigin: ['http://localhost:3000'] }],
    ['--cors-origin=*', { corsOrigin: ['*'] }],
    ['--allowed-host=Log.example:80', { allowedHost: ['log.example:80'] }],
  ])('%s', (arg, expected) => {
    expect(load([arg])).toMatchObject(expected)
  })

  test('lists are repeated on the command line, and comma-separated in the environment', () => {
    const origins = ['https://a.example', 'https://b.example']
    expect(load(origins.flatMap((origin) => ['--cors-origin', origin])).corsOrigin).toEqual(origins)
    expect(load([], { CURLEW_CORS_ORIGIN: origins.join(',') }).corsOrigin).toEqual(origins)
    const file = { f: JSON.stringify({ corsOrigin: origins, maxRequestBytes: '1MiB', port: 7 }) }
    expect(load(['--config', 'f'], {}, file)).toMatchObject({
      corsOrigin: origins,
      maxRequestBytes: MIB,
      port: 7,
    })
  })

  test('other variables of the environment do not matter', () => {
    expect(load([], { HOME: '/root', PORT: '1' }).port).toBe(8080)
  })
})

describe('mistakes', () => {
  test.each([
    [['--prot=1'], {}, 'unknown flag --prot; did you mean --port?'],
    [['--xyzzy'], {}, 'unknown flag --xyzzy'],
    [['-p', '1'], {}, 'unknown flag -p'],
    [['--port'], {}, '--port needs a value'],
    [['--port=x'], {}, '--port must be a whole number from 0 to 65535, not x'],
    [['--port=-1'], {}, '--port must be a whole number from 0 to 65535, not -1'],
    [['--port=70000'], {}, '--port must be'],
    [['--no-port'], {}, '--no-port is not possible'],
    [['--data='], {}, '--data must not be empty'],
    [['extra'], {}, 'unexpected word: extra'],
    [
      ['--log-level=loud'],
      {},
      '--log-level must be one of debug, info, warn, error, silent, not loud',
    ],
    [['--auto-create-topics=maybe'], {}, '--auto-create-topics must be true or false, not maybe'],
    [['--cors-origin=shop'], {}, '--cors-origin must be an origin such as https://app.example'],
    [['--cors-origin=https://shop.example/path'], {}, '--cors-origin must be an origin'],
    [['--cors-origin=file:///x'], {}, '--cors-origin must be an origin'],
    [['--allowed-host=a/b'], {}, '--allowed-host must be a host name'],
    [
      ['--max-request-bytes=2XB'],
      {},
      '--max-request-bytes must be a size such as 16MiB from 1KiB to 1GiB',
    ],
    [
      ['--drain-timeout-ms=soon'],
      {},
      '--drain-timeout-ms must be a duration such as 30s from 0ms to 1h',
    ],
    [
      [],
      { CURLEW_PROT: '1' },
      'unknown environment variable CURLEW_PROT; did you mean CURLEW_PORT?',
    ],
    [[], { CURLEW_PORT: 'x' }, 'CURLEW_PORT must be'],
    [[], { CURLEW_PORT: 'tcp://10.0.0.1:8080' }, 'enableServiceLinks: false'],
    [[], { CURLEW_SERVICE_HOST: '10.0.0.1' }, 'CURLEW_SERVICE_HOST is set by Kubernetes'],
    [[], { CURLEW_SERVICE_PORT_HTTP: '80' }, 'enableServiceLinks: false'],
    [[], { CURLEW_PORT_8080_TCP: 'tcp://10.0.0.1:8080' }, 'enableServiceLinks: false'],
    [[], { CURLEW_PORT_8080_TCP_ADDR: '10.0.0.1' }, 'enableServiceLinks: false'],
    [[], { CURLEW_HEADLESS_PORT: 'tcp://10.0.0.1:80' }, 'enableServiceLinks: false'],
    [['--config=none'], {}, 'the file none cannot be read: no such file'],
    [['--config=bad'], {}, 'the file bad cannot be read'],
    [['--config=list'], {}, 'the file list must hold one JSON object'],
    [['--config=typo'], {}, 'unknown setting prot in typo; did you mean port?'],
    [['--config=value'], {}, 'port in value must be a whole number'],
  ] as [string[], Record<string, string>, string][])('%j %j', (args, env, message) => {
    const files = { bad: '{', list: '[]', typo: '{"prot":1}', value: '{"port":"x"}' }
    expect(() => load(args, env, files)).toThrow(ConfigError)
    expect(() => load(args, env, files)).toThrow(message)
  })
})

test.each(ROLES)('the help has a line for every setting of %s', (role) => {
  const text = describeSettings(role)
  for (const name of Object.keys(SETTINGS[role])) expect(text).toContain(`--${flagOf(name)}`)
  expect(text).toContain('[15s]')
})

describe('roles', () => {
  const read = (args: string[], env = {}) =>
    loadConfig('storage', { args, env, readTextFile: () => '' })

  test('members are one list, said in one word or in several', () => {
    const endpoints = ['http://a:2379', 'http://b:2379']
    expect(read(['--etcd=http://a:2379,http://b:2379']).etcd).toEqual(endpoints)
    expect(read(['--etcd=http://a:2379', '--etcd=http://b:2379/']).etcd).toEqual(endpoints)
    expect(read([], { CURLEW_ETCD: 'http://a:2379,http://b:2379' }).etcd).toEqual(endpoints)
    expect(() => read(['--etcd=a:2379'])).toThrow('--etcd must be like http://host:port')
  })

  test('a variable of another role is let pass, a flag is not', () => {
    expect(read([], { CURLEW_STORAGE: 'http://a:9001' })).not.toHaveProperty('storage')
    expect(() => read(['--storage=http://a:9001'])).toThrow('unknown flag --storage')
  })
})

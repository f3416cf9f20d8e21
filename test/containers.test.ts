/** The files for containers, as far as they can be checked without an engine that runs them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { loadConfig } from '../src/config/load-config.ts'
import type { Role } from '../src/config.ts'
import { ENV_PREFIX, envOf, ROLES, SETTINGS } from '../src/config.ts'

const PROJECT = join(import.meta.dirname, '..')
const read = (name: string): string => readFileSync(join(PROJECT, name), 'utf8')

interface Service {
  readonly image: string
  readonly build: { readonly context: string; readonly target: string }
  readonly command?: string
  readonly environment?: Readonly<Record<string, string>>
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
  readonly volumes?: readonly string[]
  readonly stop_grace_period?: string
  readonly healthcheck?: object
}

const compose = parse(read('docker-compose.yml'), { merge: true }) as {
  readonly services: Readonly<Record<string, Service>>
  readonly volumes: Readonly<Record<string, unknown>>
}
const services = Object.entries(compose.services)
const dockerfile = read('Dockerfile').replaceAll('\\\n', ' ')
const stages = new Map(
  dockerfile
    .split(/^FROM /m)
    .slice(1)
    .map((stage) => [/^\S+ AS (\w+)/.exec(stage)?.[1] ?? '', stage]),
)

/** As the shell of `docker compose` would fill them in. */
function filledIn(environment: Service['environment'] = {}): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).map(([name, value]) => [
      name,
      value.replace(/\$\{\w+(?::\?[^}]*)?\}/g, 'a secret of tests'),
    ]),
  )
}

const roleOf = ({ command }: Service): Role | undefined => ROLES.find((role) => role === command)

/** What the image says, and the service on top of it. */
function environmentOf(service: Service): Record<string, string> {
  const own = stages.get(service.build.target)?.match(/CURLEW_\w+=\S+/g) ?? []
  const image = own.map((pair) => pair.split('=') as [string, string])
  return { ...Object.fromEntries(image), ...filledIn(service.environment) }
}

describe('docker-compose.yml', () => {
  test.each(services)('%s names stages, services and volumes that there are', (_name, service) => {
    expect([...stages.keys()]).toContain(service.build.target)
    expect(service.build.context).toBe('.')
    for (const [other, { condition }] of Object.entries(service.depends_on ?? {})) {
      expect(Object.keys(compose.services)).toContain(other)
      const { healthcheck, build } = compose.services[other] as Service
      const hasHealth =
        healthcheck !== undefined || stages.get(build.target)?.includes('HEALTHCHECK')
      expect([condition, hasHealth]).toEqual(['service_healthy', true])
    }
    for (const volume of service.volumes ?? []) {
      expect(Object.keys(compose.volumes)).toContain(volume.split(':')[0])
    }
  })

  const nodes = services.filter(([, service]) => roleOf(service) !== undefined)
  test.each(nodes)('%s is started with settings that are understood', (name, service) => {
    const role = roleOf(service) as Role
    const env = environmentOf(service)
    const known = Object.keys(SETTINGS[role]).map(envOf)
    const given = Object.keys(env).filter((variable) => variable.startsWith(ENV_PREFIX))
    // The image names the data folder for every role; a front has none.
    expect(known).toEqual(
      expect.arrayContaining(given.filter((variable) => variable !== 'CURLEW_DATA')),
    )
    const config = loadConfig(role, { args: [], env, readTextFile: () => '' })
    const urls = 'storage' in config ? config.storage : 'etcd' in config ? config.etcd : []
    expect(urls).toHaveLength(3)
    for (const url of urls) expect(Object.keys(compose.services)).toContain(new URL(url).hostname)
    if ('advertise' in config) {
      expect(config.advertise).toBe(`http://${name}:${config.port}`)
      expect(env['HEALTH_PORT']).toBe(String(config.opsPort))
      expect(service.volumes).toEqual([`${name}:${config.data}`])
    }
    expect(Number.parseInt(service.stop_grace_period ?? '', 10) * 1000).toBeGreaterThan(
      config.drainTimeoutMs,
    )
  })

  test('has three members of each kind that decides, with names of their own', () => {
    const of = (target: string, command?: string) =>
      services.filter(
        ([, { build, command: given }]) => build.target === target && given === command,
      )
    expect([of('etcd').length, of('curlew', 'storage').length]).toEqual([3, 3])
    const ids = of('curlew', 'storage').map(
      ([, { environment }]) => environment?.['CURLEW_NODE_ID'],
    )
    expect(ids).toEqual(['1', '2', '3'])
    for (const [name, { environment }] of of('etcd')) {
      expect(environment?.['ETCD_NAME']).toBe(name)
      expect(environment?.['ETCD_INITIAL_CLUSTER']).toContain(`${name}=http://${name}:2380`)
    }
  })
})

describe('Dockerfile', () => {
  test('copies only what .dockerignore lets through', () => {
    const through = read('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1))
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap((match) =>
      (match[1] ?? '').split(' '),
    )
    expect(copied.length).toBeGreaterThan(5)
    for (const path of copied) {
      const top = path.replace(/^\.\//, '').split('/')[0]
      expect(through).toContain(top)
      expect(() => readFileSync(join(PROJECT, path))).not.toThrow(/ENOENT/)
    }
  })

  test('sets nothing that is no setting', () => {
    const known = ROLES.flatMap((role) => Object.keys(SETTINGS[role])).map(envOf)
    const given = [...dockerfile.matchAll(/(CURLEW_\w+)=/g)].map((match) => match[1])
    expect(given).toEqual(['CURLEW_HOST', 'CURLEW_DATA'])
    expect(known).toEqual(expect.arrayContaining(given))
  })
})

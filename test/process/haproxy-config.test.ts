/** The proxy's configuration, as the proxy itself judges it. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { expect, test } from 'vitest'
import { runCommand } from '../support/curlew-process.ts'

const HAPROXY = '/usr/sbin/haproxy'
const CONFIG = join(import.meta.dirname, '..', '..', 'deploy', 'haproxy.cfg')

test.runIf(existsSync(HAPROXY))('haproxy takes deploy/haproxy.cfg without a warning', async () => {
  const names = { PROXY_BIND: '*:8080', FRONT_1: '127.0.0.1:8081', FRONT_2: '127.0.0.1:8082' }
  const env = { ...process.env, ...names }
  const { code, stdout, stderr } = await runCommand([HAPROXY, '-c', '-f', CONFIG], { env })
  expect(stdout + stderr).not.toMatch(/warning|alert/i)
  expect(code).toBe(0)
})

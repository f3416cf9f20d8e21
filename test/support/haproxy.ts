/** A real HAProxy with the configuration that is shipped, in front of two fronts. */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { eventually } from './eventually.ts'
import { freePort } from './free-port.ts'
import { call } from './http-client.ts'

const EXECUTABLE = '/usr/sbin/haproxy'
const CONFIGURATION = join(import.meta.dirname, '..', '..', 'deploy', 'haproxy.cfg')

/** Why there is no proxy here; undefined when there is one. */
export function haproxyObstacle(): string | undefined {
  return existsSync(EXECUTABLE) ? undefined : `there is no ${EXECUTABLE}`
}

export class Haproxy {
  readonly url: string
  readonly #child: ChildProcess

  private constructor(url: string, child: ChildProcess) {
    this.url = url
    this.#child = child
  }

  static async start(fronts: readonly [string, string]): Promise<Haproxy> {
    const port = await freePort()
    const [first, second] = fronts.map((url) => new URL(url).host)
    const child = spawn(EXECUTABLE, ['-db', '-f', CONFIGURATION], {
      stdio: 'ignore',
      env: {
        ...process.env,
        PROXY_BIND: `127.0.0.1:${port}`,
        FRONT_1: first,
        FRONT_2: second,
      },
    })
    const proxy = new Haproxy(`http://127.0.0.1:${port}`, child)
    await eventually('the proxy serves', async () => {
      if (child.exitCode !== null) throw new Error(`haproxy ended with ${child.exitCode}`)
      return (await call(proxy.url, 'GET', '/readyz')).status === 200 || undefined
    })
    return proxy
  }

  close(): void {
    this.#child.kill('SIGKILL')
  }
}

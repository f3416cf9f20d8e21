/** The proxy of the Debian package, in front of one server: its port chooses how it passes things on. */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { eventually } from './eventually.ts'
import { freePort } from './free-port.ts'
import { makeTempDirectory } from './temp-directory.ts'

const NGINX = '/usr/sbin/nginx'

/** Why there is no proxy to test with; undefined when there is. */
export function nginxObstacle(): string | undefined {
  return existsSync(NGINX) ? undefined : `${NGINX} is not there (Debian package nginx-light)`
}

export class Nginx {
  readonly #child: ChildProcess
  readonly #ports: ReadonlyMap<string, number>
  readonly #removeDirectory: () => Promise<void>

  private constructor(
    child: ChildProcess,
    ports: ReadonlyMap<string, number>,
    removeDirectory: () => Promise<void>,
  ) {
    this.#child = child
    this.#ports = ports
    this.#removeDirectory = removeDirectory
  }

  /** Each variant is a name and the directives of its `location`. */
  static async start(
    upstreamPort: number,
    variants: Readonly<Record<string, string>>,
  ): Promise<Nginx> {
    const directory = await makeTempDirectory('nginx')
    const { path } = directory
    const ports = new Map<string, number>()
    for (const name of Object.keys(variants)) ports.set(name, await freePort())
    const servers = Object.entries(variants).map(
      ([name, directives]) =>
        `server { listen 127.0.0.1:${ports.get(name)}; client_max_body_size 0; gzip on; gzip_types *;
           location / { proxy_pass http://127.0.0.1:${upstreamPort}; ${directives} } }`,
    )
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (kind) => `${kind}_temp_path ${path}/${kind};`,
    )
    await writeFile(
      `${path}/nginx.conf`,
      `daemon off; master_process off; pid ${path}/pid; error_log ${path}/error.log;
       events { worker_connections 512; }
       http { access_log off; ${temporary.join(' ')} ${servers.join('\n')} }`,
    )
    const child = spawn(NGINX, ['-c', `${path}/nginx.conf`, '-e', `${path}/error.log`], {
      stdio: 'ignore',
    })
    const nginx = new Nginx(child, ports, () => directory.remove())
    for (const port of ports.values()) {
      await eventually('the proxy listens', () => isOpen(port))
    }
    return nginx
  }

  url(variant: string): string {
    return `http://127.0.0.1:${this.#ports.get(variant)}`
  }

  async close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#child.once('exit', () => resolve())
    this.#child.kill('SIGKILL')
    await promise
    await this.#removeDirectory()
  }
}

function isOpen(port: number): Promise<true | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true))
    socket.on('connect', () => socket.destroy())
    socket.on('error', () => resolve(undefined))
  })
}

/** Serves one page from an origin of its own: it follows a topic with a plain EventSource and keeps what comes. */
import type { Server } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Runs in the page; `window.seen` is what the test looks at. */
export const FOLLOW_SCRIPT = `
  window.follow = (url) => {
    window.seen = []
    window.opened = 0
    window.other = []
    const source = new EventSource(url)
    source.onopen = () => { window.opened += 1 }
    source.onmessage = (event) => {
      const { partition, offset, value } = JSON.parse(event.data)
      window.seen.push({ partition, offset, value })
      document.title = window.seen.length + ' records'
    }
    for (const name of ['gap', 'error', 'end']) {
      source.addEventListener(name, (event) => {
        if (event.data !== undefined) window.other.push(name + ' ' + event.data)
      })
    }
  }`

const PAGE = `<!doctype html><meta charset="utf-8"><title>waiting</title><script>${FOLLOW_SCRIPT}
  window.follow(new URLSearchParams(location.search).get('stream'))</script>`

export class PageServer {
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
  }

  static start(): Promise<PageServer> {
    const server = createServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(PAGE)
    })
    return new Promise((resolve) => {
      server.listen(0, '127.0.0.1', () => resolve(new PageServer(server)))
    })
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }
}

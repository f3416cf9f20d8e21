/** The reference for people at `/docs`, the OpenAPI documents behind it, and the welcome at `/`. */
import { createHash } from 'node:crypto'
import { VERSION } from '../lib/version.ts'
import type { App } from './app.ts'
import {
  escapeHtml,
  ICON,
  ICON_LINK,
  ICON_PATH,
  STYLE,
  STYLE_PATH,
  wantsHtml,
} from './html-page.ts'
import type { JsonObject, Operation } from './openapi.ts'
import { openApi31, openApi32, operationsOf } from './openapi.ts'
import { ReferenceScript } from './reference-script.ts'
import { takesGzip } from './response-encoding.ts'

/** Everything comes from this server; the reference puts its styles into the page. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "worker-src 'self' blob:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** The path names the version, so that a browser may keep the large file for good. */
const SCRIPT_PATH = `/docs/reference-${VERSION}.js`
const START_PATH = `/docs/start-${VERSION}.js`
const FOR_GOOD = 'public, max-age=31536000, immutable'
const ETAG_LENGTH = 22
const HOUR = 'public, max-age=3600'
const JAVASCRIPT = 'text/javascript; charset=utf-8'

const START = `Scalar.createApiReference('#app', {
  url: '/openapi.json',
  pageTitle: 'Curlew',
  withDefaultFonts: false,
  telemetry: false,
  agent: { disabled: true },
  mcp: { disabled: true },
  hideClientButton: true,
  showDeveloperTools: 'never',
  defaultHttpClient: { targetKey: 'shell', clientKey: 'curl' },
})
`

/** Without JavaScript there is still the list of what can be called. */
function page(operations: readonly Operation[]): string {
  const items = operations.map(
    ({ method, path, summary }) =>
      `<li><code>${method.toUpperCase()} ${escapeHtml(path)}</code> ${escapeHtml(summary)}</li>`,
  )
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Curlew: HTTP reference</title>${ICON_LINK}</head>
<body><div id="app"></div>
<noscript><h1>Curlew</h1><p>The full reference needs JavaScript; <a href="/openapi.json">/openapi.json</a> does not.</p>
<ul>${items.join('\n')}</ul></noscript>
<script src="${SCRIPT_PATH}"></script><script src="${START_PATH}"></script></body>
</html>
`
}

const WELCOME = `Curlew ${VERSION}, the message log that you can curl.

  curl -d '{"hello":"world"}' localhost:8080/v1/topics/greetings/publish
  curl localhost:8080/v1/topics/greetings/records
  curl -N localhost:8080/v1/topics/greetings/stream

Reference: /docs    OpenAPI: /openapi.json    Health: /readyz    Metrics: /metrics
`

const hidden = { schema: { hide: true } }

export function docsRoutes(app: App): void {
  const reference = new ReferenceScript()
  app.get('/', hidden, (request, reply) => {
    reply.header('vary', 'Accept')
    if (wantsHtml(request)) return reply.redirect('/docs')
    const text = WELCOME.replaceAll('localhost:8080', request.headers.host ?? 'localhost:8080')
    return reply.type('text/plain; charset=utf-8').send(text)
  })
  let docsPage: string | undefined
  app.get('/docs', hidden, (_request, reply) => {
    // Made at the first request: only then all routes are known.
    docsPage ??= page(operationsOf(openApi31(app)))
    return reply
      .type('text/html; charset=utf-8')
      .header('content-security-policy', POLICY)
      .header('referrer-policy', 'no-referrer')
      .header('cache-control', 'no-cache')
      .send(docsPage)
  })
  app.get(ICON_PATH, hidden, (_request, reply) =>
    reply.type('image/svg+xml').header('cache-control', HOUR).send(ICON),
  )
  app.get(START_PATH, hidden, (_request, reply) =>
    reply.type(JAVASCRIPT).header('cache-control', FOR_GOOD).send(START),
  )
  app.get(SCRIPT_PATH, hidden, async (request, reply) => {
    reply.type(JAVASCRIPT).header('cache-control', FOR_GOOD).header('vary', 'Accept-Encoding')
    if (!takesGzip(request.headers['accept-encoding'])) return await reference.plain()
    reply.header('content-encoding', 'gzip')
    return await reference.compressed()
  })
  app.get(STYLE_PATH, hidden, (_request, reply) =>
    reply.type('text/css; charset=utf-8').header('cache-control', HOUR).send(STYLE),
  )
  documentRoute(app, '/openapi.json', openApi31)
  documentRoute(app, '/openapi-3.2.json', openApi32)
}

function documentRoute(app: App, path: string, make: (app: App) => JsonObject): void {
  let document: { readonly text: string; readonly etag: string } | undefined
  app.get(path, { ...hidden, config: { compress: true } }, (request, reply) => {
    if (document === undefined) {
      const text = JSON.stringify(make(app))
      const digest = createHash('sha256').update(text).digest('base64url')
      document = { text, etag: `"${digest.slice(0, ETAG_LENGTH)}"` }
    }
    const { text, etag } = document
    reply.header('etag', etag).header('cache-control', 'no-cache')
    if (request.headers['if-none-match']?.includes(etag) === true) return reply.code(304).send()
    return reply.type('application/json').send(text)
  })
}

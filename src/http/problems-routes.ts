/** The pages behind `type` of a problem document, for people and for programs. */
import { Type } from 'typebox'
import type { ErrorCode, ErrorEntry } from '../lib/service-error.ts'
import { ERRORS, ServiceError } from '../lib/service-error.ts'
import type { App } from './app.ts'
import { escapeHtml, markdownToHtml, sendPage, wantsHtml } from './html-page.ts'

const CACHE = 'public, max-age=3600'

export function problemsRoutes(app: App): void {
  app.get('/problems', { schema: { hide: true } }, (request, reply) => {
    reply.header('cache-control', CACHE).header('vary', 'Accept')
    const all = Object.entries(ERRORS) as [ErrorCode, ErrorEntry][]
    if (!wantsHtml(request)) {
      return reply.send({ problems: all.map(([code, entry]) => describe(code, entry)) })
    }
    const rows = all.map(
      ([code, { status, title }]) =>
        `<tr><td><a href="/problems/${code}"><code>${code}</code></a></td><td>${status}</td><td>${escapeHtml(title)}</td></tr>`,
    )
    return sendPage(
      reply,
      'Curlew: problems',
      `<p class="crumb"><a href="/docs">Curlew</a></p><h1>What can go wrong</h1><table>${rows.join('')}</table>`,
    )
  })
  app.get(
    '/problems/:code',
    { schema: { hide: true, params: Type.Object({ code: Type.String() }) } },
    (request, reply) => {
      const { code } = request.params
      if (!isCode(code)) {
        throw new ServiceError('route-not-found', 'there is no problem of this name; see /problems')
      }
      reply.header('cache-control', CACHE).header('vary', 'Accept')
      const entry = ERRORS[code]
      return wantsHtml(request)
        ? sendPage(reply, `${entry.title}: Curlew`, page(code, entry))
        : reply.send(describe(code, entry))
    },
  )
}

function isCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERRORS, text)
}

function describe(code: ErrorCode, entry: ErrorEntry) {
  return { type: `/problems/${code}`, code, ...entry }
}

const COMMITTED = {
  no: 'No: nothing of the request was done.',
  yes: 'Yes: the request was done.',
  unknown: 'Unknown: it may have been done in whole, in part, or not at all.',
}

function page(code: ErrorCode, entry: ErrorEntry): string {
  return `<p class="crumb"><a href="/docs">Curlew</a> / <a href="/problems">problems</a> / <code>${code}</code></p>
<h1>${escapeHtml(entry.title)}</h1>
<p>${markdownToHtml(entry.help)}</p>
<table>
<tr><th>Status</th><td>${entry.status}</td></tr>
<tr><th>Worth a repetition</th><td>${entry.retryable ? 'Yes, the same request may succeed later.' : 'No, not without a change.'}</td></tr>
<tr><th>Done</th><td>${COMMITTED[entry.committed]}</td></tr>
</table>`
}

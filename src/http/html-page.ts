/** The small pages that the server makes itself, and the policy under which browsers show them. */
import type { FastifyReply, FastifyRequest } from 'fastify'

/** No script, nothing from elsewhere. */
const POLICY =
  "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

export const STYLE_PATH = '/docs/page.css'

export const STYLE = `:root { color-scheme: light dark; --ink: #1d2a2f; --faint: #5c6b70; --paper: #fbfaf7; --line: #dcd8cd; --accent: #0b6e6e; --code: #f0ede4 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e4dd; --faint: #9aa5a6; --paper: #14191b; --line: #2c3538; --accent: #5cc5bd; --code: #1e2528 } }
body { margin: 0 auto; max-width: 46rem; padding: 3rem 1.5rem; background: var(--paper); color: var(--ink); font: 1rem/1.6 ui-sans-serif, system-ui, sans-serif }
h1 { font-size: 1.7rem; line-height: 1.25; margin: .3rem 0 1rem }
a { color: var(--accent) }
code { background: var(--code); border-radius: 4px; padding: .1em .35em; font: .9em ui-monospace, monospace }
table { border-collapse: collapse; margin: 1.5rem 0; width: 100% }
th, td { border-bottom: 1px solid var(--line); padding: .45rem .9rem .45rem 0; text-align: left; vertical-align: top }
th { color: var(--faint); font-weight: 500; white-space: nowrap }
.crumb { color: var(--faint); font-size: .9rem }
`

export const ICON_PATH = '/docs/icon.svg'
export const ICON_LINK = `<link rel="icon" href="${ICON_PATH}">`

/** A wader's head with its long, curved bill. */
export const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><rect width="64" height="64" rx="14" fill="#0b6e6e"/><circle cx="42" cy="24" r="11" fill="#fbfaf7"/><path d="M34 22C20 22 10 32 8 50c7-12 15-18 28-19z" fill="#fbfaf7"/><circle cx="43" cy="22" r="2.4" fill="#1d2a2f"/></svg>
`

/** Whether a person with a browser asks, as opposed to a program. */
export function wantsHtml(request: FastifyRequest): boolean {
  return request.headers.accept?.includes('text/html') === true
}

export function sendPage(reply: FastifyReply, title: string, body: string): FastifyReply {
  return reply
    .type('text/html; charset=utf-8')
    .header('content-security-policy', POLICY)
    .header('referrer-policy', 'no-referrer')
    .send(`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title><link rel="stylesheet" href="${STYLE_PATH}">${ICON_LINK}</head>
<body>${body}</body>
</html>
`)
}

export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;')
}

/** Text with \`code\` in backticks, the one piece of Markdown that the table of errors uses. */
export function markdownToHtml(text: string): string {
  return escapeHtml(text).replace(/`([^`]+)`/g, '<code>$1</code>')
}

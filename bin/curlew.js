#!/usr/bin/env node
/**
 * Starts Curlew: with a clear word when this Node.js is too old, from the sources in a checkout and
 * from dist/ in an installed package. Plain JavaScript that old versions understand.
 */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const NEEDED = [24, 12]

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < NEEDED[0] || (major === NEEDED[0] && minor < NEEDED[1])) {
  process.stderr.write(
    `Curlew needs Node.js ${NEEDED.join('.')} or newer, and this is ${process.versions.node} (${process.execPath}).\n` +
      'In a checkout, `npm ci && npm start` brings the right one along.\n' +
      'Elsewhere, install it from https://nodejs.org, or run `npx --package=node@26 --package=curlew curlew`.\n',
  )
  process.exitCode = 1
} else {
  // A checkout has the sources; what an earlier build left there would be stale.
  const source = new URL('../src/bin/curlew.ts', import.meta.url)
  const built = new URL('../dist/bin/curlew.js', import.meta.url)
  await import(existsSync(fileURLToPath(source)) ? source.href : built.href)
}

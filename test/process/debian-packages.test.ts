/** The main job on real input: every package that Debian knows, in by curl and out by curl, byte for byte. */
import { execFileSync } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCommand } from '../support/curlew-process.ts'
import type { TempDirectory } from '../support/temp-directory.ts'
import { makeTempDirectory } from '../support/temp-directory.ts'
import { TempServer } from '../support/temp-server.ts'

const MIN_STANZAS = 10_000

/** The stanzas of apt's package lists; none where there is no apt, or it has no lists. */
function readStanzas(): string[] {
  try {
    const text = execFileSync('apt-cache', ['dumpavail'], {
      encoding: 'utf8',
      maxBuffer: 512 * 1024 * 1024,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return text.split('\n\n').filter((stanza) => stanza !== '')
  } catch {
    return []
  }
}

const stanzas = readStanzas()

if (stanzas.length < MIN_STANZAS) {
  console.warn(`Debian's packages are not tested: apt knows ${stanzas.length} here`)
  it("has said why Debian's packages are not tested", () => {
    expect(stanzas.length).toBeLessThan(MIN_STANZAS)
  })
} else {
  describe("Debian's packages", () => {
    let directory: TempDirectory
    let server: TempServer

    beforeAll(async () => {
      directory = await makeTempDirectory('packages')
      server = await TempServer.start('packages-server')
    })
    afterAll(async () => {
      await server.close()
      await directory.remove()
    })

    const curl = async (...args: string[]): Promise<string> => {
      const result = await runCommand(['curl', '--silent', '--show-error', '--fail', ...args], {
        deadlineMs: 120_000,
      })
      expect(result.code, result.stderr).toBe(0)
      return result.stdout
    }

    it('go in as one upload, and come out by key as they were', async () => {
      const file = join(directory.path, 'packages.ndjson')
      const keyOf = (stanza: string): string => /^Package: (.*)$/m.exec(stanza)?.[1] ?? ''
      await writeFile(
        file,
        stanzas.map((value) => `${JSON.stringify({ key: keyOf(value), value })}\n`).join(''),
      )
      const topic = `${server.baseUrl}/v1/topics/packages`
      await curl('-X', 'PUT', topic, '--json', '{"partitions":6}')
      const receipts = await curl(
        '-X',
        'POST',
        '-T',
        file,
        '-H',
        'Content-Type: application/x-ndjson',
        `${topic}/records?stream=true`,
      )
      expect(receipts).not.toContain('"error"')

      const read = await readAll(topic)
      expect(read.size).toBe(new Set(stanzas.map(keyOf)).size)
      const expected = new Map<string, string[]>()
      for (const stanza of stanzas) {
        expected.set(keyOf(stanza), [...(expected.get(keyOf(stanza)) ?? []), stanza])
      }
      expect(read).toEqual(expected)
    }, 180_000)

    /** Values by key in the order of the log, following the header `Cursor` from page to page. */
    const readAll = async (topic: string): Promise<Map<string, string[]>> => {
      const values = new Map<string, string[]>()
      const body = join(directory.path, 'page.ndjson')
      const head = join(directory.path, 'head')
      let query = 'limit=10000&maxBytes=8388608'
      for (;;) {
        await curl(
          '-H',
          'Accept: application/x-ndjson',
          '-D',
          head,
          '-o',
          body,
          `${topic}/records?${query}`,
        )
        const lines = (await readFile(body, 'utf8')).split('\n').filter((line) => line !== '')
        if (lines.length === 0) return values
        for (const line of lines) {
          const { key, value } = JSON.parse(line) as { key: string; value: string }
          values.set(key, [...(values.get(key) ?? []), value])
        }
        const cursor = /^cursor: (\S+)/im.exec(await readFile(head, 'utf8'))?.[1] ?? ''
        query = `limit=10000&maxBytes=8388608&cursor=${cursor}`
      }
    }
  })
}

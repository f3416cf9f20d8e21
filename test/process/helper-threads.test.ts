import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { expect, test } from 'vitest'

const MODULE = new URL('../../src/bin/helper-threads.ts', import.meta.url).href

/** Names and niceness of the threads of a process of its own, before and after. */
function yieldingProcess(): { before: [string, number][]; after: [string, number][] } {
  const program = `
    import { existsSync, readdirSync, readFileSync } from 'node:fs'
    import { getPriority } from 'node:os'
    import { yieldToEventLoop } from '${MODULE}'
    const tasks = '/proc/self/task'
    const threads = existsSync(tasks) ? readdirSync(tasks) : []
    const look = () =>
      threads.map((id) => [readFileSync(tasks + '/' + id + '/comm', 'utf8').trim(), getPriority(+id)])
    const before = look()
    yieldToEventLoop()
    console.log(JSON.stringify({ before, after: look() }))`
  const child = ['--input-type=module', '--eval', program]
  return JSON.parse(execFileSync(process.execPath, child, { encoding: 'utf8' }))
}

test('the helpers of V8 give way, and nobody else does', () => {
  const { before, after } = yieldingProcess()
  expect(before.some(([name]) => name.includes('V8Worker'))).toBe(existsSync('/proc/self/task'))
  expect(after).toEqual(
    before.map(([name, niceness]) => [
      name,
      name.includes('V8Worker') ? Math.min(niceness + 10, 19) : niceness,
    ]),
  )
})

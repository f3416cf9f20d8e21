import { expect, test } from 'vitest'
import { createTextLogger } from '../../src/env/text-logger.ts'
import { ManualClock } from '../http/test-app.ts'

function logged(
  level: 'debug' | 'warn' | 'silent',
  run: (log: ReturnType<typeof createTextLogger>) => void,
) {
  let text = ''
  const write = (line: string) => {
    text += line
  }
  run(createTextLogger({ clock: new ManualClock(), level, write }))
  return text
}

test('a line has time, level, message and fields', () => {
  const text = logged('debug', (log) =>
    log.child({ topic: 'a' }).info({ url: 'http://localhost:1', n: 3 }, 'listening'),
  )
  expect(text).toBe('00:00:00.000 INFO  listening topic=a url=http://localhost:1 n=3\n')
})

test('less important lines are left out', () => {
  const all = (log: ReturnType<typeof createTextLogger>) => {
    log.debug({}, 'd')
    log.info({}, 'i')
    log.warn({}, 'w')
    log.error({}, 'e')
  }
  expect(logged('warn', all).match(/[diwe]$/gm)).toEqual(['w', 'e'])
  expect(logged('silent', all)).toBe('')
})

test('a value cannot forge a line, and an error brings its stack', () => {
  const text = logged('debug', (log) => {
    log.info({ name: 'a\n00:00 ERROR forged' }, 'made')
    log.error({ err: new TypeError('bad thing') }, 'failed')
  })
  expect(text.split('\n')[0]).toBe('00:00:00.000 INFO  made name="a\\n00:00 ERROR forged"')
  expect(text).toMatch(/failed err="bad thing"\nTypeError: bad thing\n\s+at /)
})

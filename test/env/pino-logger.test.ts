import { closeSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { expect, test } from 'vitest'
import { createPinoLogger } from '../../src/env/pino-logger.ts'

test('writes one JSON object a line, from its level on, with the fields of its parents', () => {
  const path = `${tmpdir()}/curlew-log-${process.pid}`
  const fd = openSync(path, 'w')
  const logger = createPinoLogger({ level: 'info', fd, base: { node: 3 } })
  logger.debug({}, 'not this')
  logger.child({ topic: 'a' }).error({ err: new Error('broken') }, 'it failed')
  closeSync(fd)
  const lines = readFileSync(path, 'utf8').trim().split('\n')
  rmSync(path)
  expect(lines).toHaveLength(1)
  expect(JSON.parse(lines[0] as string)).toMatchObject({
    node: 3,
    topic: 'a',
    msg: 'it failed',
    err: { message: 'broken' },
  })
})

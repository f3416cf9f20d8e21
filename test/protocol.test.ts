import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { ERRORS } from '../src/lib/service-error.ts'

test('PROTOCOL.md lists exactly the errors of the code', () => {
  const text = readFileSync(new URL('../PROTOCOL.md', import.meta.url), 'utf8')
  const [, section = ''] = text.split(/<!-- errors[^>]*-->/)
  const listed = (section.split('<!-- end of errors -->')[0] as string)
    .split('\n')
    .filter((line) => line.startsWith('| `'))
  const wanted = Object.entries(ERRORS).map(
    ([code, error]) =>
      `| \`${code}\` | ${error.status} | ${error.retryable ? 'yes' : 'no'} | ${error.committed} |`,
  )
  expect(listed).toEqual(wanted)
})

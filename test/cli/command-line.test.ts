/** Which command the words name, and what is said when the program cannot start. */
import { describe, expect, test } from 'vitest'
import { parseCommandLine } from '../../src/bin/command-line.ts'
import { explainFailure } from '../../src/bin/start-failure.ts'
import { loadConfig } from '../../src/config/load-config.ts'

describe('the command', () => {
  test.each([
    [[], { command: 'run', role: 'standalone', args: [] }],
    [['--port=1'], { command: 'run', role: 'standalone', args: ['--port=1'] }],
    [['standalone', '--port', '1'], { command: 'run', role: 'standalone', args: ['--port', '1'] }],
    [['storage', '--node-id=1'], { command: 'run', role: 'storage', args: ['--node-id=1'] }],
    [['front'], { command: 'run', role: 'front', args: [] }],
    [['dump', 'data/journal/1'], { command: 'tool', tool: 'dump', args: ['data/journal/1'] }],
    [['repair', 'data', '--apply'], { command: 'tool', tool: 'repair', args: ['data', '--apply'] }],
    [['--help'], { command: 'help', role: 'standalone' }],
    [['standalone', '-h'], { command: 'help', role: 'standalone' }],
    [['storage', '--help'], { command: 'help', role: 'storage' }],
    [['help'], { command: 'help', role: 'standalone' }],
    [['--version'], { command: 'version' }],
    [['version'], { command: 'version' }],
  ])('%j is %j', (words, line) => {
    expect(parseCommandLine(words)).toEqual(line)
  })

  test('a misspelt one is named, with the one that was meant', () => {
    expect(() => parseCommandLine(['standalnoe'])).toThrow(
      'unknown command standalnoe; did you mean standalone?',
    )
    expect(() => parseCommandLine(['x'])).toThrow('unknown command x; see curlew --help')
  })
})

describe('a start that fails', () => {
  const config = loadConfig('standalone', {
    args: ['--port=81', '--data=/d'],
    env: {},
    readTextFile: () => '',
  })
  const systemError = (code: string, syscall: string) =>
    Object.assign(new Error(`${code}: ${syscall}`), { code, syscall })

  test.each([
    ['EADDRINUSE', 'listen', /another program listens on 127\.0\.0\.1:81; .*--port/],
    ['EACCES', 'listen', /may not listen on 127\.0\.0\.1:81/],
    ['EADDRNOTAVAIL', 'listen', /127\.0\.0\.1 is not an address of this machine; .*--host/],
    ['ENOTFOUND', 'getaddrinfo', /not an address of this machine/],
    ['EINVAL', 'listen', /cannot listen on 127\.0\.0\.1:81: EINVAL/],
    ['EACCES', 'mkdir', /may not write to the data folder \/d/],
    ['EROFS', 'open', /may not write to the data folder \/d/],
    ['ENOSPC', 'write', /no space for the data folder \/d/],
    ['ENOTDIR', 'mkdir', /\/d is not a folder/],
  ])('by %s of %s says why in one line', (code, syscall, message) => {
    const reason = explainFailure(systemError(code, syscall), config)
    expect(reason).toMatch(message)
    expect(reason).not.toContain('\n')
  })

  test.each(['DataDirectoryError', 'DamagedStoreError', 'StoreRefusedError'])(
    'by a %s says what the storage said',
    (name) => {
      const error = Object.assign(new Error('another process uses /d'), { name })
      const said = explainFailure(error, config)
      if (name === 'DamagedStoreError') expect(said).toMatch(/^another .*--rebuild-metadata$/)
      else expect(said).toBe('another process uses /d')
    },
  )

  test('by a fault of ours keeps its stack', () => {
    expect(explainFailure(new TypeError('x is undefined'), config)).toBeUndefined()
    expect(explainFailure('thrown text', config)).toBeUndefined()
  })
})

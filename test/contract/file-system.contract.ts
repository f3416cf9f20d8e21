/** What every FileSystem does, whatever is behind it. `make` gives one with an empty folder to work in. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { FileSystem } from '../../src/env/file-system.ts'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import { dropBytes } from '../../src/lib/drop-bytes.ts'

export interface FileSystemUnderTest {
  readonly fileSystem: FileSystem
  readonly directory: string
  readonly dispose: () => Promise<void>
}

const text = (value: string) => new TextEncoder().encode(value)

export function fileSystemContract(name: string, make: () => Promise<FileSystemUnderTest>): void {
  describe(`${name}: file system contract`, () => {
    let subject: FileSystemUnderTest
    let fs: FileSystem
    const at = (path: string) => `${subject.directory}/${path}`

    beforeEach(async () => {
      subject = await make()
      fs = subject.fileSystem
    })
    afterEach(() => subject.dispose())

    async function write(path: string, value: string): Promise<void> {
      const file = await fs.open(at(path), 'create')
      expect(await file.writeAt([text(value)], 0)).toBe(value.length)
      await file.close()
    }

    async function read(path: string): Promise<string> {
      const file = await fs.open(at(path), 'read')
      const bytes = new Uint8Array(await file.sizeBytes())
      expect(await file.readAt(bytes, 0)).toBe(bytes.length)
      await file.close()
      return new TextDecoder().decode(bytes)
    }

    test('writes parts one behind the other and reads them back', async () => {
      const file = await fs.open(at('a'), 'create')
      expect(await file.writeAt([text('one'), text(''), text('two')], 2)).toBe(6)
      await file.syncData()
      const bytes = new Uint8Array(16).fill(0xff)
      expect(await file.readAt(bytes, 0)).toBe(8)
      expect([...bytes.subarray(0, 8)]).toEqual([0, 0, ...text('onetwo')])
      expect(bytes[8]).toBe(0xff)
      expect(await file.readAt(bytes, 8)).toBe(0)
      expect(await file.readAt(bytes, 800)).toBe(0)
      await file.close()
    })

    test('writes of any size at any place land where they belong, however they are done', async () => {
      const random = new SeededRandom(7)
      const below = (bound: number) => random.uint32() % bound
      const file = await fs.open(at('large'), 'create')
      const expected = new Uint8Array(6 * 1024 * 1024)
      let endPosition = 0
      for (let turn = 1; turn <= 40; turn++) {
        // Mostly one behind the other, as a log grows; at times over what is there.
        const position = below(4) === 0 ? below(endPosition + 1) : endPosition
        const fitting = Math.min(
          below(turn % 2 === 0 ? 20_000 : 1_500_000),
          6 * 1024 * 1024 - position,
        )
        const bytes = new Uint8Array(fitting).fill(turn)
        expected.set(bytes, position)
        const cut = below(fitting + 1)
        let parts: readonly Uint8Array[] = [bytes.subarray(0, cut), bytes.subarray(cut)]
        for (let done = 0; done < fitting; ) {
          const step = await file.writeAt(parts, position + done)
          expect(step).toBeGreaterThan(0)
          done += step
          parts = dropBytes(parts, step)
          // Brings it into whatever cache there is, before more is written there.
          await file.readAt(new Uint8Array(10_000), Math.max(0, position + done - 5000))
        }
        endPosition = Math.max(endPosition, position + fitting)
      }
      const found = new Uint8Array(endPosition)
      expect(await file.sizeBytes()).toBe(endPosition)
      expect(await file.readAt(found, 0)).toBe(endPosition)
      expect(Buffer.compare(found, expected.subarray(0, endPosition))).toBe(0)
      await file.close()
      await expect(file.writeAt([new Uint8Array(65_536)], 0)).rejects.toMatchObject({
        code: 'EBADF',
      })
    })

    test('opening for reading needs a file', async () => {
      await expect(fs.open(at('none'), 'read')).rejects.toMatchObject({ code: 'ENOENT' })
    })

    test('creating keeps what is there, and needs the folder', async () => {
      await write('a', 'kept')
      await (await fs.open(at('a'), 'create')).close()
      expect(await read('a')).toBe('kept')
      await expect(fs.open(at('no/a'), 'create')).rejects.toMatchObject({ code: 'ENOENT' })
    })

    test('truncating cuts and grows with zeros', async () => {
      await write('a', 'abcdef')
      const file = await fs.open(at('a'), 'create')
      await file.truncate(2)
      await file.truncate(4)
      expect(await file.sizeBytes()).toBe(4)
      await file.close()
      expect(await read('a')).toBe('ab\0\0')
    })

    test('a closed file takes nothing more, and closing twice is harmless', async () => {
      const file = await fs.open(at('a'), 'create')
      await file.close()
      await file.close()
      await expect(file.writeAt([text('x')], 0)).rejects.toMatchObject({ code: 'EBADF' })
      await expect(file.readAt(new Uint8Array(1), 0)).rejects.toMatchObject({ code: 'EBADF' })
      await expect(file.syncData()).rejects.toMatchObject({ code: 'EBADF' })
    })

    test('lists names in order; a folder that is not there is empty', async () => {
      await fs.makeDirectory(at('x/y'))
      await write('x/b', '')
      await write('x/B', '')
      await write('x/a', '')
      expect(await fs.list(at('x'))).toEqual(['B', 'a', 'b', 'y'])
      expect(await fs.list(at('nothing'))).toEqual([])
      await fs.makeDirectory(at('x/y'))
      await fs.syncDirectory(at('x'))
    })

    test('tells sizes', async () => {
      await write('a', 'four')
      expect(await fs.size(at('a'))).toBe(4)
      expect(await fs.size(at('b'))).toBeUndefined()
    })

    test('renames over what is there, folders too', async () => {
      await write('a', 'new')
      await write('b', 'old')
      await fs.rename(at('a'), at('b'))
      expect(await fs.list(subject.directory)).toEqual(['b'])
      expect(await read('b')).toBe('new')
      await fs.makeDirectory(at('d'))
      await write('d/f', 'inside')
      await fs.rename(at('d'), at('e'))
      expect(await read('e/f')).toBe('inside')
      await expect(fs.rename(at('none'), at('z'))).rejects.toMatchObject({ code: 'ENOENT' })
    })

    test('removes files and trees, also those that are not there', async () => {
      await fs.makeDirectory(at('d/e'))
      await write('d/e/f', 'x')
      await write('a', 'x')
      await fs.remove(at('a'))
      await fs.remove(at('a'))
      await fs.removeTree(at('d'))
      await fs.removeTree(at('d'))
      expect(await fs.list(subject.directory)).toEqual([])
    })

    test('a removed file stays readable through an open handle', async () => {
      await write('a', 'still')
      const file = await fs.open(at('a'), 'read')
      await fs.remove(at('a'))
      const bytes = new Uint8Array(5)
      expect(await file.readAt(bytes, 0)).toBe(5)
      await file.close()
    })

    test('one holder at a time has the lock', async () => {
      const held = await fs.lock(at('lock'))
      expect(held).toBeDefined()
      expect(await fs.lock(at('lock'))).toBeUndefined()
      await held?.release()
      await held?.release()
      const again = await fs.lock(at('lock'))
      expect(again).toBeDefined()
      await again?.release()
    })

    test('tells the free bytes', async () => {
      expect(await fs.freeBytes(subject.directory)).toBeGreaterThan(0)
    })
  })
}

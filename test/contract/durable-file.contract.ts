/** What every DurableFile does. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { FileSystemUnderTest } from './file-system.contract.ts'

const block = (fill: number, shared = false) =>
  new Uint8Array(shared ? new SharedArrayBuffer(4096) : new ArrayBuffer(4096)).fill(fill)

export function durableFileContract(name: string, make: () => Promise<FileSystemUnderTest>): void {
  describe(`${name}: durable file contract`, () => {
    let subject: FileSystemUnderTest
    const path = () => `${subject.directory}/durable`

    beforeEach(async () => {
      subject = await make()
    })
    afterEach(() => subject.dispose())

    async function contents(): Promise<Uint8Array> {
      const file = await subject.fileSystem.open(path(), 'read')
      const bytes = new Uint8Array(await file.sizeBytes())
      await file.readAt(bytes, 0)
      await file.close()
      return bytes
    }

    test('a new file has its full size and is zero', async () => {
      const file = await subject.fileSystem.openDurable(path(), 3 * 1024 * 1024 + 4096)
      await file.close()
      const bytes = await contents()
      expect(bytes.length).toBe(3 * 1024 * 1024 + 4096)
      expect(bytes.every((byte) => byte === 0)).toBe(true)
    })

    test('parts of shared and of own memory land one behind the other', async () => {
      const file = await subject.fileSystem.openDurable(path(), 16384)
      await file.write([block(1, true), block(2)], 4096)
      await file.write([block(3, true)], 12288)
      await file.close()
      const bytes = await contents()
      expect(bytes.length).toBe(16384)
      expect([0, 4096, 8192, 12288].map((at) => [bytes[at], bytes[at + 4095]])).toEqual([
        [0, 0],
        [1, 1],
        [2, 2],
        [3, 3],
      ])
    })

    test('a view into a larger shared buffer writes its own bytes only', async () => {
      const memory = new Uint8Array(new SharedArrayBuffer(16384))
      memory.fill(9, 4096, 8192)
      const file = await subject.fileSystem.openDurable(path(), 8192)
      await file.write([memory.subarray(4096, 8192)], 0)
      await file.close()
      const bytes = await contents()
      expect([bytes[0], bytes[4095], bytes[4096]]).toEqual([9, 9, 0])
    })

    test('reopening keeps the bytes, and grows a shorter file with zeros', async () => {
      const first = await subject.fileSystem.openDurable(path(), 8192)
      await first.write([block(5)], 4096)
      await first.close()
      const second = await subject.fileSystem.openDurable(path(), 16384)
      await second.close()
      const bytes = await contents()
      expect([bytes.length, bytes[4096], bytes[8191], bytes[8192]]).toEqual([16384, 5, 5, 0])
    })

    test('a smaller size than the file has changes nothing', async () => {
      await (await subject.fileSystem.openDurable(path(), 8192)).close()
      await (await subject.fileSystem.openDurable(path(), 4096)).close()
      expect((await contents()).length).toBe(8192)
    })

    test('two files are written side by side', async () => {
      const one = await subject.fileSystem.openDurable(path(), 8192)
      const other = await subject.fileSystem.openDurable(`${path()}2`, 8192)
      await Promise.all([one.write([block(1)], 0), other.write([block(2)], 0)])
      await one.close()
      await other.write([block(3)], 4096)
      await other.close()
      expect((await contents())[0]).toBe(1)
    })

    test('a closed file takes no write', async () => {
      const file = await subject.fileSystem.openDurable(path(), 4096)
      await file.close()
      await file.close()
      await expect(file.write([block(1)], 0)).rejects.toMatchObject({ code: 'EBADF' })
    })

    test('a folder that is not there is an error with its code', async () => {
      await expect(
        subject.fileSystem.openDurable(`${subject.directory}/no/file`, 4096),
      ).rejects.toMatchObject({ code: 'ENOENT' })
    })
  })
}

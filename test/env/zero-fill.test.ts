import { expect, test } from 'vitest'
import { zeroFill } from '../../src/env/zero-fill.ts'
import { SimFileSystem } from '../sim/sim-file-system.ts'

const MIB = 1024 * 1024

test('fills to the size through short writes, synced', async () => {
  const fs = new SimFileSystem()
  const file = await fs.open('/f', 'create')
  await file.writeAt([new Uint8Array(10).fill(1)], 0)
  fs.fault = ({ kind }) => (kind === 'write' ? 'short' : undefined)
  await fs.syncDirectory('/')
  await zeroFill(file, 3 * MIB + 5)
  const contents = fs.crash().contents('/f')
  expect(contents.length).toBe(3 * MIB + 5)
  expect([...contents.subarray(0, 12)]).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0])
})

test('gives back what it took when space ends', async () => {
  const fs = new SimFileSystem({ quotaBytes: 2 * MIB })
  const file = await fs.open('/f', 'create')
  await file.writeAt([new Uint8Array(10)], 0)
  await expect(zeroFill(file, 3 * MIB)).rejects.toMatchObject({ code: 'ENOSPC' })
  expect(await file.sizeBytes()).toBe(10)
})

test('leaves a file alone that is large enough', async () => {
  const fs = new SimFileSystem()
  const file = await fs.open('/f', 'create')
  await file.writeAt([new Uint8Array(10).fill(7)], 0)
  await zeroFill(file, 5)
  expect(fs.contents('/f')).toEqual(new Uint8Array(10).fill(7))
})

import { describe, expect, it } from 'vitest'
import { GenerationCache } from '../../src/lib/generation-cache.ts'

const KIB = 1024
const sizeOf = (value: Uint8Array) => value.length

describe('GenerationCache', () => {
  it('keeps what is asked for, lets go of what is not, and stays within its bound', () => {
    const cache = new GenerationCache<Uint8Array>(64 * KIB)
    const hot = new Uint8Array(KIB)
    cache.set('hot', hot, KIB)
    cache.set('cold', new Uint8Array(KIB), KIB)
    for (let i = 0; i < 1000; i++) {
      cache.set(`other ${i}`, new Uint8Array(KIB), KIB)
      expect(cache.get('hot', sizeOf)).toBe(hot)
    }
    expect(cache.get('cold', sizeOf)).toBeUndefined()
    const kept = Array.from({ length: 1000 }, (_, i) => cache.get(`other ${i}`, sizeOf))
    expect(kept.filter((value) => value !== undefined).length).toBeLessThan(64)
  })

  it('does not take what would fill a generation alone', () => {
    const cache = new GenerationCache<Uint8Array>(64 * KIB)
    cache.set('small', new Uint8Array(KIB), KIB)
    cache.set('large', new Uint8Array(40 * KIB), 40 * KIB)
    expect(cache.get('large', sizeOf)).toBeUndefined()
    expect(cache.get('small', sizeOf)).toBeDefined()
  })
})

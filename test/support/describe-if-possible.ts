/** Suites that need what not every machine has: where it is missing they say so instead. */
import { describe, expect, it } from 'vitest'

export function describeIfPossible(
  name: string,
  obstacle: string | undefined,
  body: () => void,
): void {
  if (obstacle === undefined) {
    describe(name, body)
    return
  }
  console.warn(`not tested: ${name}: ${obstacle}`)
  it(`has said why ${name} is not tested`, () => {
    expect(obstacle).toMatch(/\S/)
  })
}

/**
 * While events of a simulation run, real time, real chance and real timers are out of bounds: each
 * would make the run depend on something else than its seed.
 */
import { webcrypto } from 'node:crypto'
import { performance } from 'node:perf_hooks'

type Owner = Record<string, unknown>

const TRAPPED: readonly (readonly [owner: object, name: string])[] = [
  [Date, 'now'],
  [Math, 'random'],
  [performance, 'now'],
  [globalThis, 'setTimeout'],
  [globalThis, 'setInterval'],
  [globalThis, 'setImmediate'],
  [webcrypto, 'randomUUID'],
  [webcrypto, 'getRandomValues'],
  [AbortSignal, 'timeout'],
]

const RealDate = Date

/** `new Date(ms)` is a format; `new Date()` is the time. */
const TrappedDate = new Proxy(RealDate, {
  construct(target, args) {
    if (args.length === 0) throw new AmbientError('new Date()')
    return Reflect.construct(target, args) as object
  },
})

export class AmbientError extends Error {
  override readonly name = 'AmbientError'
  constructor(what: string) {
    super(`${what} was used inside of a simulation`)
  }
}

/** Runs it with all of those throwing AmbientError. */
export function withoutAmbient(run: () => void): void {
  const undo: (() => void)[] = []
  const replace = (owner: object, name: string, value: unknown) => {
    const own = Object.getOwnPropertyDescriptor(owner, name)
    Object.defineProperty(owner, name, { value, configurable: true, writable: true })
    undo.push(() => {
      if (own === undefined) delete (owner as Owner)[name]
      else Object.defineProperty(owner, name, own)
    })
  }
  try {
    for (const [owner, name] of TRAPPED) {
      replace(owner, name, () => {
        throw new AmbientError(name)
      })
    }
    replace(globalThis, 'Date', TrappedDate)
    run()
  } finally {
    for (const restore of undo.reverse()) restore()
  }
}

/** Polls what another process does, up to a deadline: the only way to learn that it got somewhere. */
const POLL_INTERVAL_MS = 20

/** Resolves with the first result of `probe` that is not undefined; rejects at the deadline, saying `what`. */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | undefined> | T | undefined,
  deadlineMs = 30_000,
): Promise<T> {
  const giveUpAt = performance.now() + deadlineMs
  let lastError: unknown
  for (;;) {
    try {
      const result = await probe()
      if (result !== undefined) return result
    } catch (error) {
      lastError = error
    }
    if (performance.now() > giveUpAt) {
      throw new Error(`after ${deadlineMs} ms still not: ${what}`, { cause: lastError })
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS))
  }
}

/** Rejects, saying `what`, unless `promise` settles before the deadline. */
export async function within<T>(what: string, deadlineMs: number, promise: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(
    () => reject(new Error(`after ${deadlineMs} ms still not: ${what}`)),
    deadlineMs,
  )
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

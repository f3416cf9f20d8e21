/** Resolves when all work is finished, or the signal says that it was waited for long enough. */
export async function drained(
  work: readonly Promise<unknown>[],
  signal: AbortSignal,
): Promise<void> {
  const { promise: aborted, resolve } = Promise.withResolvers<void>()
  signal.addEventListener('abort', () => resolve(), { once: true })
  if (signal.aborted) resolve()
  await Promise.race([Promise.all(work), aborted])
}

/** Says in one line why something that may well happen has failed: with its causes, without a stack. */
const CAUSES_MAX = 3

export function whyOf(error: unknown): string {
  const texts: string[] = []
  let cause: unknown = error
  while (cause instanceof Error && texts.length < CAUSES_MAX) {
    // Many errors tell their cause in their own message.
    if (!texts.some((text) => text.includes((cause as Error).message))) texts.push(cause.message)
    cause = cause.cause
  }
  return texts.length === 0 ? String(error) : texts.join(': ')
}

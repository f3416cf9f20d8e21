/** Serves what fronts ask of the coordinators of this node: each call is answered when it is done. */
import { ServiceError } from '../lib/service-error.ts'
import { decodeGroupCalls } from '../wire/group-call-codec.ts'
import type { GroupCoordinators } from '../wire/group-calls.ts'
import type { GroupResult } from '../wire/group-frames.ts'
import { encodeGroupFrame } from '../wire/group-frames.ts'
import { refusalTextOf } from './error-answer.ts'
import type { InternalService } from './internal-service.ts'
import { PATHS } from './paths.ts'
import { ResultStream } from './result-stream.ts'

export function registerGroupEndpoint(
  service: InternalService,
  coordinators: GroupCoordinators,
): void {
  service.register(PATHS.groupCalls, async ({ body, signal }) => {
    const results = decodeGroupCalls(body).map(({ partition, call }) =>
      coordinators.call(partition, call, signal).then((reply): GroupResult => ({ reply }), refused),
    )
    const stream = new ResultStream(results, encodeGroupFrame)
    // The head of the answer says nothing: it leaves with the first result.
    await stream.first
    return stream.reply
  })
}

function refused(error: unknown): GroupResult {
  const known =
    error instanceof ServiceError
      ? error
      : new ServiceError('internal-error', 'the call failed; the log says why', { cause: error })
  return { refusal: refusalTextOf(known) }
}

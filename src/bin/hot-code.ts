/** When V8 optimises: its own thresholds are made for pages that are left before that pays. */
import { setFlagsFromString } from 'node:v8'

/**
 * Has functions optimised in full after a fifteenth of V8's number of calls. A node does the same for weeks, and
 * most of what it does is done once for a batch or a call: with few clients, or many requests to a
 * batch, that took minutes, at a quarter more processor time for each request.
 *
 * To be called when the node serves: compiling what only a start needs would delay that.
 */
export function optimizeSooner(): void {
  setFlagsFromString('--invocation-count-for-turbofan=200')
  // A type that comes late, as that of an error does, must not hold up code that has it since.
  setFlagsFromString('--minimum-invocations-after-ic-update=50')
}

/** A process for crash tests: writes transactions and tells of each acknowledged one, until it is killed. */
import { EmbeddedStore } from '../../src/metadata/embedded-store.ts'
import { SimClock } from '../sim/sim-clock.ts'

const store = EmbeddedStore.open(
  {
    clock: new SimClock(),
    onFatal: (error) => {
      throw error
    },
  },
  { path: process.argv[2] as string, createIfMissing: true },
)
const before = await store.get('/a')
for (let n = before === undefined ? 0 : Number(before.value) + 1; ; n++) {
  const put = ['/a', '/b', '/c'].map((key) => ({ key, value: `${n}` }))
  const { revision } = await store.transact({ compare: [], put })
  process.stdout.write(`${JSON.stringify({ n, revision })}\n`)
  // Lets the line out before the next transaction begins.
  if (n % 10 === 9) await new Promise((resolve) => setImmediate(resolve))
}

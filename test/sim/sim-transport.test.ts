/** The simulated network does what every transport must. */
import { SeededRandom } from '../../src/env/seeded-random.ts'
import { describeTransport } from '../contract/transport.contract.ts'
import { SimClock } from './sim-clock.ts'
import { SimNetwork } from './sim-network.ts'
import { SimNodeClock } from './sim-node-clock.ts'

describeTransport('simulated', async (handle) => {
  const clock = new SimClock()
  const network = new SimNetwork({ clock, random: new SeededRandom(1) })
  const hostOf = (name: string) => ({ name, clock: new SimNodeClock(clock) })
  const { url, close } = network.listen(hostOf('node'), { handle })
  return {
    transport: network.transport(hostOf('caller')),
    url,
    deadUrl: network.urlOf('nobody'),
    run: (promise) => clock.run(promise),
    close,
  }
})

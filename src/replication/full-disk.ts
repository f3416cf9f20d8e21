/**
 * Tells the cluster that the disk of this node is full, so that others lead what they can and new
 * records go where there is space, and when it has space again.
 */
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import { unlessAborted } from '../lib/unless-aborted.ts'
import { whyOf } from '../lib/why.ts'
import { nodeKey } from '../metadata/metadata-keys.ts'
import { decodeNode, encodeRecord } from '../metadata/metadata-records.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import type { Replica } from './replica.ts'

export interface FullDiskDeps {
  readonly store: MetadataStore
  readonly clock: Clock
  readonly logger: Logger
  readonly isFull: () => boolean
  readonly replicas: () => Iterable<Replica>
}

export interface FullDiskOptions {
  readonly nodeId: number
  readonly incarnation: number
}

const LOOK_MS = 250
/** What was taken may have so long to be committed before another leads. */
const SETTLE_MS = 2_000
const SETTLE_LOOK_MS = 20

export class FullDisk {
  readonly #deps: FullDiskDeps
  readonly #options: FullDiskOptions
  readonly #stop = new AbortController()
  readonly #running: Promise<void>
  /** What the cluster was told. */
  #isTold: boolean = false

  constructor(deps: FullDiskDeps, options: FullDiskOptions) {
    this.#deps = deps
    this.#options = options
    this.#running = this.#run(this.#stop.signal)
  }

  async close(): Promise<void> {
    this.#stop.abort(new Error('the node takes part no longer'))
    await this.#running
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, logger, isFull } = this.#deps
    let failures = 0
    while (!signal.aborted) {
      try {
        if (isFull() !== this.#isTold) await this.#tell(isFull(), signal)
        failures = 0
      } catch (error) {
        const why = whyOf(error)
        if (!signal.aborted && failures++ === 0) {
          logger.warn({ why }, 'the cluster could not be told of the state of the disk')
        }
      }
      await clock.sleep(LOOK_MS, signal).catch(() => undefined)
    }
  }

  async #tell(isFull: boolean, signal: AbortSignal): Promise<void> {
    const { store, logger } = this.#deps
    const { nodeId, incarnation } = this.#options
    const key = nodeKey(nodeId)
    const entry = await unlessAborted(store.get(key), signal)
    if (entry?.createRevision !== incarnation) return
    if (isFull) await this.#settled(signal)
    const node = decodeNode(entry.value)
    const { succeeded } = await unlessAborted(
      store.transact({
        compare: [{ key, target: 'modRevision', equals: entry.modRevision }],
        put: [
          {
            key,
            value: encodeRecord({ ...node, diskFull: isFull }),
            ...(node.leaseId !== undefined && { leaseId: node.leaseId }),
          },
        ],
      }),
      signal,
    )
    if (!succeeded) return
    this.#isTold = isFull
    const leads = [...this.#led()].length
    if (isFull) logger.warn({ leads }, 'the disk is full: others lead from now on, where they can')
    else logger.info({ leads }, 'the disk has space: this node may lead again')
  }

  /** While the disk is full nothing is taken: what is under way comes to its end. */
  async #settled(signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps
    const isWaiting = () => [...this.#led()].some(({ acksWaiting }) => acksWaiting > 0)
    for (let ms = 0; isWaiting() && ms < SETTLE_MS; ms += SETTLE_LOOK_MS) {
      await clock.sleep(SETTLE_LOOK_MS, signal)
    }
  }

  *#led(): Iterable<Replica> {
    for (const replica of this.#deps.replicas()) if (replica.tenure !== undefined) yield replica
  }
}

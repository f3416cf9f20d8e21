/**
 * Tells the cluster that the disk of this node is full, hands over what others can lead, so that new
 * records go where there is space, and tells when it has space again.
 */
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import { unlessAborted } from '../lib/unless-aborted.ts'
import { whyOf } from '../lib/why.ts'
import { nodeKey } from '../metadata/metadata-keys.ts'
import { decodeNode, encodeRecord } from '../metadata/metadata-records.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'

export interface FullDiskDeps {
  readonly store: MetadataStore
  readonly clock: Clock
  readonly logger: Logger
  readonly isFull: () => boolean
  /** Hands over what others can lead as it is; resolves with how much that was. */
  readonly handOver: () => Promise<number>
}

export interface FullDiskOptions {
  readonly nodeId: number
  readonly incarnation: number
}

const LOOK_MS = 250

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
    const { clock, logger, isFull, handOver } = this.#deps
    let failures = 0
    while (!signal.aborted) {
      try {
        if (isFull() !== this.#isTold) await this.#tell(isFull(), signal)
        failures = 0
        const moved = this.#isTold ? await handOver() : 0
        if (moved > 0) logger.warn({ moved }, 'leaderships were handed over, as the disk is full')
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
    if (isFull) logger.warn({}, 'the disk is full: others lead from now on, where they can')
    else logger.info({}, 'the disk has space: this node may lead again')
  }
}

/** Who speaks in a call between nodes, to whom, and the headers that say so. */

/**
 * What a process says about itself in each call; read anew each time, as the cluster becomes known
 * and a registration renewed while it runs.
 */
export interface InternalIdentity {
  /** Undefined until it is known, as in a front that has not seen the metadata yet. */
  readonly clusterId: string | undefined
  readonly nodeId: number | 'front'
  /** Create revision of the node's registration; 0 while it has none, and for fronts. */
  readonly incarnation: number
}

export interface Sender {
  readonly nodeId: number | 'front'
  /** 0 for fronts, and for nodes that are not registered yet. */
  readonly incarnation: number
}

/** A process that is spoken to. The address may have been given to another one since. */
export interface CallTarget {
  /** Origin, as `http://host:port`. */
  readonly url: string
  /** 0: whoever is there; for bootstrap calls only. */
  readonly incarnation: number
}

export const PROTOCOL_VERSION = '1'
/** In place of the cluster's id, by those who do not know it yet; for bootstrap calls only. */
export const ANY_CLUSTER = '*'

export const HEADERS = {
  cluster: 'curlew-cluster',
  node: 'curlew-node',
  incarnation: 'curlew-incarnation',
  target: 'curlew-target',
  protocol: 'curlew-protocol',
  /** Milliseconds that are left when the call is sent. */
  deadline: 'curlew-deadline',
  auth: 'curlew-auth',
} as const

/** Names in lower case. */
export type HeaderMap = Readonly<Record<string, string | undefined>>

/** Undefined for anything but decimal digits of a safe integer. */
export function parseCount(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,16}$/.test(text)) return undefined
  const value = Number(text)
  return Number.isSafeInteger(value) ? value : undefined
}

export function parseSender(headers: HeaderMap): Sender | undefined {
  const incarnation = parseCount(headers[HEADERS.incarnation])
  if (incarnation === undefined) return undefined
  const node = headers[HEADERS.node]
  if (node === 'front') return { nodeId: node, incarnation }
  const nodeId = parseCount(node)
  return nodeId === undefined ? undefined : { nodeId, incarnation }
}

/**
 * Which nodes hold the replicas of a new topic's partitions: round robin over the nodes, on as many
 * racks as there are, with the follower shifted each round so that one node's partitions share
 * their load among all others when it fails.
 */

export interface PlacementNode {
  readonly id: number
  readonly rack: string
  /** About to stop, or full: holds replicas only where the others are too few, or of too few racks. */
  readonly avoid?: boolean
}

/**
 * The replicas of each partition, the first of which is the preferred leader. `start` is any
 * number from 0 up: where the round begins, so that small topics do not all land on the first nodes.
 * undefined: there are fewer nodes than replicas.
 */
export function placeReplicas(
  nodes: readonly PlacementNode[],
  partitions: number,
  replicationFactor: number,
  start: number,
): number[][] | undefined {
  if (nodes.length === 0 || nodes.length < replicationFactor) return undefined
  const ring = alternateRacks(chooseNodes(nodes, replicationFactor))
  return Array.from({ length: partitions }, (_, partition) => {
    const leader = (start + partition) % ring.length
    const shift = Math.floor(partition / ring.length)
    return chooseReplicas(ring, leader, shift, replicationFactor)
  })
}

/** Replicas stay where they are put, so that the racks of a node that is away for a moment count. */
function chooseNodes(
  nodes: readonly PlacementNode[],
  replicationFactor: number,
): readonly PlacementNode[] {
  const chosen = nodes.filter(({ avoid }) => avoid !== true)
  for (const node of nodes) {
    if (node.avoid !== true) continue
    const racks = new Set(chosen.map(({ rack }) => rack))
    const isNewRack = racks.size < replicationFactor && !racks.has(node.rack)
    if (chosen.length < replicationFactor || isNewRack) chosen.push(node)
  }
  return chosen
}

/** Leader first; then nodes on racks that hold no replica yet, then any. */
function chooseReplicas(
  ring: readonly PlacementNode[],
  leader: number,
  shift: number,
  replicationFactor: number,
): number[] {
  const others = ring.length - 1
  const chosen = [ring[leader] as PlacementNode]
  for (const newRackOnly of [true, false]) {
    for (let step = 0; step < others && chosen.length < replicationFactor; step++) {
      const at = (leader + 1 + ((shift + step) % others)) % ring.length
      const node = ring[at] as PlacementNode
      if (chosen.includes(node)) continue
      if (newRackOnly && chosen.some(({ rack }) => rack === node.rack)) continue
      chosen.push(node)
    }
  }
  return chosen.map(({ id }) => id)
}

/** One node of each rack in turn, by id within a rack. */
function alternateRacks(nodes: readonly PlacementNode[]): PlacementNode[] {
  const racks = new Map<string, PlacementNode[]>()
  for (const node of nodes.toSorted((a, b) => a.id - b.id)) {
    const ofRack = racks.get(node.rack)
    if (ofRack === undefined) racks.set(node.rack, [node])
    else ofRack.push(node)
  }
  const ring: PlacementNode[] = []
  for (let round = 0; ring.length < nodes.length; round++) {
    for (const ofRack of racks.values()) {
      const node = ofRack[round]
      if (node !== undefined) ring.push(node)
    }
  }
  return ring
}

/** What the cluster agrees on about a partition: who holds it, who leads it, who may lead it next. */

export interface PartitionState {
  /** Node ids, the preferred leader first. */
  readonly replicas: readonly number[]
  /** Node id, or -1 while there is no leader. */
  readonly leader: number
  /** Grows with every change of the leader, also when there is none afterwards. */
  readonly leaderEpoch: number
  /** In-sync replicas: every one of them holds all that is committed. */
  readonly isr: readonly number[]
  /** Eligible leader replicas: out of the ISR, but known to hold all that is committed. */
  readonly elr: readonly number[]
  readonly state: 'active'
  /** The last election in which committed records may have been lost, and the epoch it began. */
  readonly unclean?: { readonly atMs: number; readonly leaderEpoch: number }
}

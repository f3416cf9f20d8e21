/** What operators see of a node as one of several: what it knows of the cluster, and who calls it. */
import type { Clock } from '../env/clock.ts'
import type { Metrics } from '../env/metrics.ts'
import type { InternalService } from '../internal/internal-service.ts'
import type { MetadataFollower } from '../metadata/metadata-follower.ts'

export function measureMetadata(metrics: Metrics, metadata: MetadataFollower): void {
  metrics.gauge('curlew_metadata_version', 'Revision of the metadata that this node has.', () => {
    return metadata.image.version
  })
  metrics.gauge('curlew_metadata_stale', '1 when this node can follow no further.', () =>
    metadata.staleReason === undefined ? 0 : 1,
  )
  metrics.gauge('curlew_controller_id', 'The node that elects leaders; -1 for none.', () => {
    return metadata.image.controller?.nodeId ?? -1
  })
  metrics.gauge('curlew_nodes_up', 'Storage nodes that are registered.', () => {
    return metadata.image.nodes.size
  })
}

export function measureLease(
  metrics: Metrics,
  clock: Clock,
  renewedMs: () => number | undefined,
): void {
  metrics.gauge(
    'curlew_lease_age_seconds',
    'Since the registration of this node was last renewed; -1 while it has none.',
    () => {
      const lastMs = renewedMs()
      return lastMs === undefined ? -1 : (clock.monotonicMs() - lastMs) / 1000
    },
  )
}

export function measureCalls(metrics: Metrics, service: InternalService): void {
  metrics.gauge('curlew_internal_calls', 'Calls of other nodes that are under way.', () => {
    return service.underWay
  })
  metrics.gauge('curlew_internal_call_bytes', 'Memory for their bodies.', () => service.heldBytes)
}

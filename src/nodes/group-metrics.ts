/** What operators see of the coordinators of a node. */
import type { GroupCoordinator } from '../coordinator/group-coordinator.ts'
import type { Metrics } from '../env/metrics.ts'

export function measureGroups(metrics: Metrics, coordinator: GroupCoordinator): void {
  const gauges: [string, string, () => number][] = [
    [
      'curlew_coordinator_partitions',
      'Partitions of groups that this node looks after.',
      () => coordinator.partitions,
    ],
    [
      'curlew_coordinator_watches',
      'Calls that wait for a change of a member.',
      () => coordinator.watches,
    ],
  ]
  for (const [name, help, collect] of gauges) metrics.gauge(name, help, collect)
}

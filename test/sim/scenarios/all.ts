/** All scenarios, by name. */
import { DAMAGES } from './damage.ts'
import { DELETIONS } from './deletions.ts'
import { FAILOVERS } from './failover.ts'
import { GROUPS } from './groups.ts'
import { HANDOVERS } from './handovers.ts'
import { MEMBERSHIPS } from './membership.ts'
import { NEAR_READS } from './near-reads.ts'
import type { Scenario } from './scenario.ts'
import { UNCLEAN } from './unclean.ts'
import { ZOMBIES } from './zombies.ts'

export const SCENARIOS: ReadonlyMap<string, Scenario> = new Map(
  [
    ...FAILOVERS,
    ...HANDOVERS,
    ...MEMBERSHIPS,
    ...NEAR_READS,
    ...ZOMBIES,
    ...DELETIONS,
    ...DAMAGES,
    ...GROUPS,
    ...UNCLEAN,
  ].map((scenario) => [scenario.name, scenario]),
)

/** The metric of leaders that a node chose, as the controller or as the leader before. */
export const ELECTIONS = ['curlew_elections_total', 'Leaders that this node elected.'] as const

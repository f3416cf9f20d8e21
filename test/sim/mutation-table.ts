/** Lines that keep records safe, each with what the code would be without it. */
import { GROUP_MUTATIONS } from './group-mutations.ts'
import { MEMBERSHIP_MUTATIONS } from './membership-mutations.ts'
import type { Mutation } from './mutation.ts'
import { REPLICATION_MUTATIONS } from './replication-mutations.ts'
import { STORAGE_MUTATIONS } from './storage-mutations.ts'

export const MUTATIONS: readonly Mutation[] = [
  ...REPLICATION_MUTATIONS,
  ...MEMBERSHIP_MUTATIONS,
  ...STORAGE_MUTATIONS,
  ...GROUP_MUTATIONS,
]

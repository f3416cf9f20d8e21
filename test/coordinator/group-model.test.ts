import { expect, test } from 'vitest'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import { GROUP, GroupModel } from './group-model.ts'

const SEEDS = Number(process.env['GROUP_SEEDS'] ?? 60)
const FIRST_SEED = Number(process.env['GROUP_FIRST_SEED'] ?? 1)
const STEPS = 600

const key = ({ topicId, partition }: { topicId: string; partition: number }) =>
  `${topicId}/${partition}`

/** What the coordinator says of its group, but for what is not in the log. */
function logged(model: GroupModel): unknown {
  const described = model.world.look('describe', { groupId: GROUP })
  if ('ok' in described) return described.code
  const members = described.members.map(({ target: _, ...member }) => member)
  const { state: _, ...group } = { ...described, members }
  return { group, offsets: model.world.look('offsets', { groupId: GROUP }) }
}

test(`members never share a partition, and a group comes to rest, ${SEEDS} seeds`, () => {
  let commits = 0
  let moves = 0
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
    const model = new GroupModel(new SeededRandom(seed))
    for (let step = 0; step < STEPS; step++) {
      const before = model.commits.length
      const owners = new Map(
        model.members.flatMap((member) =>
          model.works(member) ? [...member.working.keys()].map((place) => [place, member]) : [],
        ) as [string, (typeof model.members)[number]][],
      )
      model.step()
      const overlap = model.overlap()
      if (overlap !== undefined) throw new Error(`seed ${seed}, step ${step}: ${overlap}`)
      for (const { member, place } of model.commits.slice(before)) {
        const owner = owners.get(place)
        if (owner !== undefined && owner !== member) {
          const detail = `${member.memberId} committed ${place} of ${owner.memberId}`
          throw new Error(`seed ${seed}, step ${step}: ${detail}`)
        }
        commits++
      }
    }
    const state = logged(model)
    model.world.restore(seed % 2 === 0)
    expect(logged(model), `seed ${seed}`).toEqual(state)
    model.heal()
    checkRest(model, seed)
    moves += model.world.log.length
  }
  expect(commits).toBeGreaterThan(SEEDS)
  expect(moves).toBeGreaterThan(SEEDS)
})

/** Every partition has one member, who knows it. */
function checkRest(model: GroupModel, seed: number): void {
  const { members, state } = model.world.describe(GROUP)
  expect(state, `seed ${seed}`).toBe('stable')
  const wanted: string[] = []
  for (const topic of model.world.metadata.image.topics.values()) {
    for (const partition of topic.partitions.keys())
      wanted.push(key({ topicId: topic.id, partition }))
  }
  const assigned = members.flatMap((member) => member.assigned.map(key))
  expect(assigned.toSorted(), `seed ${seed}`).toEqual(wanted.toSorted())
  const working = model.members.flatMap((member) => [...member.working.keys()])
  expect(working.toSorted(), `seed ${seed}`).toEqual(wanted.toSorted())
  const committed = model.world.done('offsets', { groupId: GROUP }).map(key)
  expect(committed.toSorted(), `seed ${seed}`).toEqual(wanted.toSorted())
}

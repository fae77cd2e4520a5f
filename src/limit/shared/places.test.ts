// Places of concurrency that processes share: what is in use is known to the store, also what began while it was away, and beside other rules.
import { expect, test } from 'vitest'
import { SpillwayError } from '../../core/errors.ts'
import type { LimitPort } from '../../ports/limit.ts'
import { fakeClock } from '../../testing/fake-clock.ts'
import { memory } from '../../testing/memory/engine.ts'
import { memoryStore } from '../../testing/memory/store.ts'
import type { Rules } from '../rule/rule.ts'
import { sharedLimits } from './shared-limits.ts'

function setup() {
  const clock = fakeClock()
  const { limit } = memory({ store: memoryStore({ clock }) })
  const state = { away: false }
  const store: LimitPort = {
    statement: '',
    sweep: () => limit!.sweep(),
    async exchange(requests) {
      if (state.away) throw new SpillwayError('ENGINE_UNAVAILABLE', 'The store is away.')
      return limit!.exchange(requests)
    },
  }
  const open = (rules: Rules) => sharedLimits({ rules, store, clock })
  return { clock, state, open }
}

test('work that began while the store was away has its places as soon as there is room', async () => {
  const { clock, state, open } = setup()
  const rules: Rules = { work: { atOnce: 3 } }
  const [one, other] = [open(rules), open(rules)]
  const theirs = [await other.decide({}), await other.decide({})]
  expect((await one.decide({})).allowed).toBe(true)
  state.away = true
  const begun = await Promise.all([one.decide({}), one.decide({})])
  expect(begun.every(({ allowed }) => allowed)).toBe(true)
  state.away = false
  await clock.advance('500ms')
  for (const each of theirs) each.release()
  await clock.advance('2s')
  // All three are of the other process by now.
  expect((await other.decide({})).allowed).toBe(false)
  for (const each of begun) each.release()
  await clock.advance('100ms')
  expect([await other.decide({}), await other.decide({})].map(({ allowed }) => allowed)).toEqual([true, true])
  expect((await other.decide({})).allowed).toBe(false)
})

test.each([
  ['counts', { atMost: 5, per: 'week' }],
  ['tokens', { capacity: 100, refill: 1, per: 'day' }],
] as const)(
  'work that ends after its rule counts %s gives nothing back of what was counted',
  async (_, rule) => {
    const { clock, open } = setup()
    const limits = open({ work: { atOnce: 100 } })
    const held = await Promise.all(Array.from({ length: 10 }, () => limits.decide({})))
    limits.reload({ work: rule })
    let allowed = 0
    for (const each of held) {
      for (let i = 0; i < 120; i++) if ((await limits.decide({})).allowed) allowed += 1
      each.release()
      await clock.advance('50ms')
    }
    expect(allowed).toBe('capacity' in rule ? 100 : 5)
  },
)

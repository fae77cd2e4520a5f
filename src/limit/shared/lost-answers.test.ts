// Shared limits where answers are lost, late or come together: nothing is used twice, nothing is held up.
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
  const state = { away: false, gate: undefined as Promise<void> | undefined }
  const store: LimitPort = {
    statement: '',
    sweep: () => limit!.sweep(),
    async exchange(requests) {
      if (state.away) throw new SpillwayError('ENGINE_UNAVAILABLE', 'The store is away.')
      const answer = await limit!.exchange(requests)
      await state.gate
      return answer
    },
  }
  return { clock, state, store, open: (rules: Rules) => sharedLimits({ rules, store, clock }) }
}

test('used of a lease that could not be told stays used', async () => {
  const { clock, state, open } = setup()
  const rules: Rules = { all: { capacity: 1_000, refill: 1, per: 'day', away: 'closed' } }
  const [one, other] = [open(rules), open(rules)]
  let allowed = 0
  const ask = async (of: typeof one, times: number) => {
    for (let i = 0; i < times; i++) if ((await of.decide({})).allowed) allowed += 1
  }
  await ask(one, 300)
  state.away = true
  await ask(one, 300)
  await clock.advance(300)
  state.away = false
  await ask(one, 1)
  await ask(other, 2_000)
  await ask(one, 2_000)
  await clock.advance(5_000)
  await ask(one, 2_000)
  expect(allowed).toBeLessThanOrEqual(1_000)
})

test('cost 0 asks', async () => {
  const { open } = setup()
  const one = open({ few: { atMost: 2, per: 'day' }, many: { capacity: 1_000, refill: 1, per: 'day' } })
  expect((await one.decide({ cost: 0 })).allowed).toBe(true)
})

test('places taken while others are told of stay taken', async () => {
  const { clock, state, open } = setup()
  const rules: Rules = { work: { atOnce: 3 } }
  const [one, other] = [open(rules), open(rules)]
  const first = await one.decide({})
  let letGo = () => {}
  state.gate = new Promise<void>((resolve) => {
    letGo = resolve
  })
  const second = one.decide({})
  first.release()
  await clock.advance(20)
  const third = one.decide({})
  const fourth = one.decide({})
  letGo()
  state.gate = undefined
  const held = await Promise.all([second, third, fourth])
  await clock.advance(500)
  await clock.advance(500)
  const more = await Promise.all([1, 2, 3].map(() => other.decide({})))
  expect([...held, ...more].filter(({ allowed }) => allowed).length).toBeLessThanOrEqual(3)
})

test('who stands in line is asked anew when its turn comes, and who gave up holds up nobody', async () => {
  const { clock, open } = setup()
  const one = open({ posts: { atMost: 2, per: '10s', over: 'wait', line: 2, longestWait: '12s' } })
  await one.decide({})
  await one.decide({})
  await clock.advance('1s')
  const first = one.admit({})
  await clock.advance('1s')
  const gone = new AbortController()
  const second = one.admit({}, { signal: gone.signal })
  await clock.advance('1s')
  gone.abort()
  expect(await second).toMatchObject({ outcome: 'reject', reason: 'cancelled' })
  const third = one.admit({})
  const at: number[] = []
  for (const each of [first, third]) void each.then(() => at.push(clock.elapsed()))
  const begun = clock.elapsed()
  await clock.advance('7s')
  expect(at.map((each) => each - begun)).toEqual([7_000, 7_000])
})

test('many questions that fail together are one failure', async () => {
  const { clock, state, open } = setup()
  const one = open({ all: { atMost: 2, per: 'day', by: 'user', away: 'closed' } })
  state.away = true
  await Promise.all(Array.from({ length: 100 }, (_, i) => one.decide({ user: `${i}` })))
  state.away = false
  await clock.advance('1s')
  expect((await one.decide({ user: 'a' })).allowed).toBe(true)
})

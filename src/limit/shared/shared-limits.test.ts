import { setTimeout as pause } from 'node:timers/promises'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SpillwayError } from '../../core/errors.ts'
import type { LimitPort } from '../../ports/limit.ts'
import { type FakeClock, fakeClock } from '../../testing/fake-clock.ts'
import { memory } from '../../testing/memory/engine.ts'
import { memoryStore } from '../../testing/memory/store.ts'
import type { Rules } from '../rule/rule.ts'
import { sharedLimits } from './shared-limits.ts'
import type { SharedLimits } from './shared-limits-api.ts'

/** A store on a clock that the test moves, with what was asked of it; `away` makes it not answer. */
function store(clock: FakeClock = fakeClock()) {
  const { limit } = memory({ store: memoryStore({ clock }) })
  const state = { away: false, hangs: false, calls: 0 }
  const port: LimitPort = {
    statement: limit!.statement,
    async exchange(requests) {
      state.calls += 1
      if (state.hangs) return new Promise(() => {})
      if (state.away) throw new SpillwayError('ENGINE_UNAVAILABLE', 'The store is away.')
      return limit!.exchange(requests)
    },
    sweep: () => limit!.sweep(),
  }
  const open = (rules: Rules): SharedLimits => sharedLimits({ rules, store: port, clock })
  /** One that can be killed: from then on nothing of it reaches the store. */
  const killable = (rules: Rules) => {
    let dead = false
    const own: LimitPort = {
      ...port,
      exchange: (requests) => (dead ? new Promise(() => {}) : port.exchange(requests)),
    }
    const kill = () => {
      dead = true
    }
    return { limits: sharedLimits({ rules, store: own, clock }), kill }
  }
  return { clock, state, open, killable }
}

async function count(all: readonly Promise<{ readonly allowed: boolean }>[]): Promise<number> {
  return (await Promise.all(all)).filter(({ allowed }) => allowed).length
}

test('several processes together allow what the rule says, and no more', async () => {
  const { open } = store()
  const rules: Rules = { posts: { atMost: 5, per: 'week', by: 'device' } }
  const [one, two] = [open(rules), open(rules)]
  expect(await count(Array.from({ length: 20 }, (_, i) => (i % 2 ? one : two).decide({ device: 'd' })))).toBe(
    5,
  )
  expect((await two.decide({ device: 'e' })).allowed).toBe(true)
  const refusal = await one.decide({ device: 'd' })
  expect(refusal).toMatchObject({ outcome: 'reject', rule: 'posts', reason: 'over' })
  expect(refusal.retryAfterMs).toBe(7 * 24 * 3_600_000)
})

test('a request is counted in all of its rules or in none', async () => {
  const { open } = store()
  const limits = open({
    all: { atMost: 10, per: 'day' },
    user: { atMost: 1, per: 'day', by: 'user' },
  })
  expect(await count(Array.from({ length: 5 }, () => limits.decide({ user: 'u' })))).toBe(1)
  expect(await count(Array.from({ length: 20 }, (_, i) => limits.decide({ user: `v${i}` })))).toBe(9)
})

test('a busy bucket is decided from a lease, without asking the store each time', async () => {
  const { open, state, clock } = store()
  const limits = open({ all: { capacity: 100_000, refill: 1, per: 'minute' } })
  for (let i = 0; i < 2_000; i++) expect((await limits.decide({})).allowed).toBe(true)
  expect(state.calls).toBeLessThan(30)
  await clock.advance('3s')
  const other = open({ all: { capacity: 100_000, refill: 1, per: 'minute' } })
  const [before] = (await other.decide({})).states
  expect(before!.remaining).toBe(100_000 - 2_001)
})

test('what a process that is killed had leased is used up, and nothing more', async () => {
  const { open, clock, killable } = store()
  const rules: Rules = { all: { capacity: 1_000, refill: 1, per: 'day' } }
  const { limits, kill } = killable(rules)
  for (let i = 0; i < 20; i++) await limits.decide({})
  kill()
  const other = open(rules)
  const ask = () => count(Array.from({ length: 1_000 }, () => other.decide({})))
  const first = await ask()
  await clock.advance('2s')
  const total = 20 + first + (await ask())
  expect(total).toBeLessThanOrEqual(1_000)
  expect(total).toBeGreaterThanOrEqual(1_000 - 20)
})

test('leases of several processes never sum to more than the rule, in any window', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          process: fc.nat(2),
          times: fc.constantFrom(1, 3, 20, 100),
          thenMs: fc.constantFrom(0, 0, 20, 400, 1_200),
          dies: fc.nat(12).map((n) => n === 0),
        }),
        { minLength: 10, maxLength: 30 },
      ),
      async (steps) => {
        const { killable, clock } = store()
        const [capacity, refill] = [80, 40]
        const rules: Rules = { all: { capacity, refill, per: 'second' } }
        const processes = [killable(rules), killable(rules), killable(rules)]
        const allowed: number[] = []
        for (const { process, times, thenMs, dies } of steps) {
          const made = await Promise.all(
            Array.from({ length: times }, () => processes[process]!.limits.decide({})),
          )
          for (const each of made) if (each.allowed) allowed.push(clock.elapsed())
          if (dies) {
            processes[process]!.kill()
            processes[process] = killable(rules)
          }
          if (thenMs > 0) await clock.advance(thenMs)
        }
        const tooMany = allowed.some((from, first) =>
          allowed.some(
            (to, last) =>
              last >= first && last - first + 1 > capacity + Math.floor((refill * (to - from)) / 1_000),
          ),
        )
        expect(tooMany).toBe(false)
      },
    ),
    { numRuns: 12 },
  )
}, 60_000)

test('concurrency is held by all processes together, given back soon, and by the dead when their lease ends', async () => {
  const { open, clock } = store()
  const rules: Rules = { reports: { atOnce: 3, by: 'user' } }
  const [one, two] = [open(rules), open(rules)]
  const held = await Promise.all([one.decide({ user: 'u' }), one.decide({ user: 'u' })])
  expect(held.every(({ allowed }) => allowed)).toBe(true)
  expect((await two.decide({ user: 'u' })).allowed).toBe(true)
  expect(await two.decide({ user: 'u' })).toMatchObject({
    allowed: false,
    retryAfterMs: Number.POSITIVE_INFINITY,
  })
  // What is in use stays, however long it takes.
  await clock.advance('5s')
  expect((await two.decide({ user: 'u' })).allowed).toBe(false)
  held[0]!.release()
  await clock.advance('50ms')
  const next = await two.decide({ user: 'u' })
  expect(next.allowed).toBe(true)
  expect((await one.decide({ user: 'u' })).allowed).toBe(false)
})

test('a rule in shadow counts for itself and refuses nothing', async () => {
  const { open } = store()
  const limits = open({
    tried: { atMost: 2, per: 'day', shadow: true },
    real: { atMost: 3, per: 'day' },
  })
  const made = []
  for (let i = 0; i < 4; i++) made.push(await limits.decide({}))
  expect(made.map(({ allowed }) => allowed)).toEqual([true, true, true, false])
  expect(made.map(({ shadowed }) => shadowed)).toEqual([[], [], ['tried'], ['tried']])
})

test('a refund gives back what was taken, a penalty takes more; soon for all', async () => {
  const { open, clock } = store()
  const rules: Rules = { all: { atMost: 4, per: 'day', by: 'user' } }
  const [one, two] = [open(rules), open(rules)]
  const subject = { user: 'u' }
  const decision = await one.decide({ ...subject, cost: 3 })
  decision.refund()
  decision.refund()
  await clock.advance('20ms')
  expect((await two.decide({ ...subject, cost: 4 })).allowed).toBe(true)
  const other = await one.decide({ user: 'v' })
  other.penalize(3)
  await clock.advance('20ms')
  expect((await two.decide({ user: 'v' })).allowed).toBe(false)
})

test('while the store is away each rule holds as it says; then all go by the store again', async () => {
  const { open, state, clock } = store()
  const limits = open({
    open: { atMost: 1, per: 'day', by: 'user', on: 'open' },
    closed: { atMost: 5, per: 'day', by: 'user', on: 'closed', away: 'closed' },
    share: { atMost: 8, per: 'day', by: 'user', on: 'share', away: { share: 0.25 } },
  })
  state.away = true
  const ask = (on: string) => limits.decide({ user: 'u', on })
  expect(await count([ask('open'), ask('open')])).toBe(2)
  expect(await ask('closed')).toMatchObject({ outcome: 'reject', reason: 'away', rule: 'closed' })
  expect(await count(Array.from({ length: 8 }, () => ask('share')))).toBe(2)
  const asked = state.calls
  for (let i = 0; i < 100; i++) await ask('open')
  expect(state.calls).toBe(asked)
  state.away = false
  await clock.advance('10s')
  expect((await ask('open')).allowed).toBe(true)
  expect((await ask('open')).allowed).toBe(false)
  expect(await count(Array.from({ length: 8 }, () => ask('closed')))).toBe(5)
})

test('a store that hangs is waited for no longer than timeoutMs', async () => {
  const { open, state, clock } = store()
  const limits = open({ all: { atMost: 1, per: 'day', away: 'closed' } })
  expect((await limits.decide({ cost: 0 })).allowed).toBe(true)
  state.hangs = true
  const made = limits.decide({})
  await clock.advance('100ms')
  expect(await made).toMatchObject({ outcome: 'reject', reason: 'away' })
})

test('the first answer of a process may take two seconds, and no longer', async () => {
  const { open, state, clock } = store()
  const closed: Rules = { all: { atMost: 1, per: 'day', away: 'closed' } }
  let begin = () => {}
  const first = sharedLimits({ rules: closed, store: starting(), clock })
  const made = [first.decide({}), first.decide({})]
  await clock.advance('1900ms')
  begin()
  expect(await count(made)).toBe(1)
  state.hangs = true
  const other = open(closed)
  const never = other.decide({})
  await clock.advance('2s')
  expect(await never).toMatchObject({ outcome: 'reject', reason: 'away' })

  function starting(): LimitPort {
    const { limit } = memory({ store: memoryStore({ clock }) })
    const begun = new Promise<void>((resolve) => {
      begin = resolve
    })
    const exchange: LimitPort['exchange'] = async (requests) => {
      await begun
      return limit!.exchange(requests)
    }
    return { statement: '', sweep: async () => 0, exchange }
  }
})

test('who waits gets its turn in order, no later than it wanted, and no more wait than may', async () => {
  const { open, clock } = store()
  const limits = open({ all: { atMost: 1, per: 'second', over: 'wait', line: 2, longestWait: '1500ms' } })
  expect((await limits.admit({})).allowed).toBe(true)
  const order: string[] = []
  const waits = ['a', 'b', 'c'].map((name) =>
    limits.admit({}).then((decision) => {
      order.push(`${name} ${decision.outcome} ${decision.reason ?? ''}`.trim())
    }),
  )
  for (let i = 0; i < 40; i++) await clock.advance('100ms')
  await Promise.all(waits)
  expect(order).toEqual(['c reject line', 'a allow', 'b reject wait'])
})

test('each bucket has its own line, as long as the rule says, and whoever comes later stands behind', async () => {
  const { open, clock } = store()
  const limits = open({
    all: { atMost: 1, per: 'second', by: 'user', over: 'wait', line: 2, longestWait: '10s' },
  })
  for (const user of ['a', 'b']) expect((await limits.admit({ user })).allowed).toBe(true)
  const order: string[] = []
  const wait = (user: string, name: string) =>
    limits
      .admit({ user })
      .then(({ outcome, reason }) => order.push(`${user}${name} ${outcome} ${reason ?? ''}`.trim()))
  const waits = ['1', '2', '3'].flatMap((name) => [wait('a', name), wait('b', name)])
  await clock.advance('900ms')
  expect(limits.counts()[0]!.waiting).toBe(4)
  // Other rules: nobody loses its place.
  limits.reload({
    all: { atMost: 1, per: 'second', by: 'user', over: 'wait', line: 3, longestWait: '10s' },
  })
  expect(limits.counts()[0]!.waiting).toBe(4)
  waits.push(wait('a', '4'))
  // Nobody passes a line.
  await clock.advance('99ms')
  const passing = await limits.decide({ user: 'a' })
  expect(passing).toMatchObject({ outcome: 'wait', rule: 'all' })
  for (let i = 0; i < 40; i++) await clock.advance('100ms')
  await Promise.all(waits)
  expect(order.slice(0, 2).sort()).toEqual(['a3 reject line', 'b3 reject line'])
  expect(order.slice(2, 4).sort()).toEqual(['a1 allow', 'b1 allow'])
  expect(order.slice(4, 6).sort()).toEqual(['a2 allow', 'b2 allow'])
  expect(order.slice(6)).toEqual(['a4 allow'])
  expect(limits.counts()[0]!.waiting).toBe(0)
})

test('keys without end do not make lines without end', async () => {
  const { open } = store()
  const limits = open({
    each: { atMost: 1, per: 'second', by: 'user', over: 'wait', line: 2, longestWait: '5s' },
  })
  const users = Array.from({ length: 10_001 }, (_, index) => `${index}`)
  await Promise.all(users.map((user) => limits.admit({ user })))
  const asked = users.map((user) => limits.admit({ user }))
  expect(await asked.at(-1)).toMatchObject({ outcome: 'reject', reason: 'line' })
  expect(limits.counts()[0]!.waiting).toBe(10_000)
})

test('those who wait have theirs as soon as it is there, several at once; who leaves holds up nobody', async () => {
  const { open, clock } = store()
  const rules = (over: 'wait' | 'reject'): Rules => ({
    all: { atMost: 3, per: 'second', window: 'key', over, longestWait: '30s' },
  })
  const limits = open(rules('wait'))
  for (let i = 0; i < 3; i++) expect((await limits.admit({})).allowed).toBe(true)
  const leaving = new AbortController()
  const reasons: string[] = []
  const waits = [1, 2, 3, 4].map((place) =>
    limits
      .admit({}, place === 2 ? { signal: leaving.signal } : {})
      .then(({ outcome, reason }) => reasons.push(`${place} ${reason ?? outcome}`)),
  )
  await clock.advance('100ms')
  leaving.abort()
  await clock.advance('1ms')
  expect(reasons).toEqual(['2 cancelled'])
  await clock.advance('950ms')
  await Promise.all(waits)
  expect(reasons).toEqual(['2 cancelled', '1 allow', '3 allow', '4 allow'])
})

test('rules that are put in force hold at once, whatever was leased; what was untold is told', async () => {
  const { open, clock } = store()
  const wide: Rules = { all: { capacity: 100_000, refill: 1, per: 'hour' }, few: { atMost: 9, per: 'day' } }
  const limits = open({ all: wide.all! })
  for (let i = 0; i < 200; i++) await limits.decide({})
  limits.reload({ all: { capacity: 100, refill: 1, per: 'hour' } })
  expect(await count(Array.from({ length: 20 }, () => limits.decide({})))).toBe(0)
  limits.reload({ few: wide.few! })
  const [one, two] = [await limits.decide({ cost: 4 }), await limits.decide({ cost: 2 })]
  one.refund()
  two.penalize(3)
  limits.reload({ few: { capacity: 18, refill: 1, per: 'day' } })
  await clock.advance('50ms')
  const other = open({ few: { capacity: 18, refill: 1, per: 'day' } })
  // Of nine 2 and 3 are gone, so they are of eighteen.
  expect((await other.decide({ cost: 0 })).states[0]!.remaining).toBe(13)
})

test('other rules are put in force whole or not at all, and buckets go on with what was taken', async () => {
  const { open } = store()
  const limits = open({ all: { atMost: 3, per: 'day' } })
  await limits.decide({})
  expect(() => limits.reload({ all: { atMost: 0, per: 'day' } })).toThrow(/INVALID_RULE|all/)
  limits.reload({ all: { capacity: 10, refill: 1, per: 'day' } })
  const [state] = (await limits.decide({})).states
  // One was taken of three, so it was of ten; one was taken just now.
  expect(state!.remaining).toBe(8)
})

test('closing gives back what is leased, and later decisions reject', async () => {
  const { open } = store()
  const rules: Rules = { all: { capacity: 1_000, refill: 1, per: 'day' } }
  const [one, two] = [open(rules), open(rules)]
  for (let i = 0; i < 50; i++) await one.decide({})
  await one.close()
  await expect(one.decide({})).rejects.toMatchObject({ code: 'CLOSED' })
  const [state] = (await two.decide({})).states
  expect(state!.remaining).toBe(949)
})

test('on the clock of the machine leases are renewed and end', async () => {
  const engine = memory()
  const limits = sharedLimits({
    rules: { all: { capacity: 10_000, refill: 1, per: 'day' } },
    store: engine.limit!,
    leaseMs: 100,
  })
  for (let i = 0; i < 100; i++) await limits.decide({})
  await pause(400)
  expect((await limits.decide({})).allowed).toBe(true)
  await limits.close()
  const other = sharedLimits({
    rules: { all: { capacity: 10_000, refill: 1, per: 'day' } },
    store: engine.limit!,
  })
  // Where this process was held up, a lease ended before it was told what was used: all of it then was.
  const { remaining } = (await other.decide({})).states[0]!
  expect(remaining).toBeLessThanOrEqual(10_000 - 102)
  expect(remaining).toBeGreaterThan(9_000)
  await other.close()
})

test('a store that comes and goes brings no more than one share', async () => {
  const { open, state, clock } = store()
  const limits = open({ all: { atMost: 8, per: 'day', away: { share: 0.25 } } })
  const ask = (times: number) => count(Array.from({ length: times }, () => limits.decide({})))
  const there = async () => {
    state.away = false
    await clock.advance('6s')
    return ask(1)
  }
  const gone = () => {
    state.away = true
    return ask(8)
  }
  expect([await there(), await gone(), await there(), await gone(), await there(), await gone()]).toEqual([
    1, 2, 1, 0, 1, 0,
  ])
  await clock.advance('1d')
  expect([await there(), await gone()]).toEqual([1, 2])
})

test('an answer that came while the process was busy is no silence', async () => {
  const busyMs = 40
  const { limit } = memory()
  const port: LimitPort = {
    statement: '',
    sweep: async () => 0,
    // As from a socket: it is there, and is read when the event loop comes to it.
    async exchange(requests) {
      const answer = await limit!.exchange(requests)
      const { port1, port2 } = new MessageChannel()
      const read = new Promise((resolve) => port2.once('message', resolve))
      port1.postMessage('it is there')
      await read
      port2.close()
      return answer
    },
  }
  const limits = sharedLimits({
    rules: { all: { atMost: 9, per: 'day', away: 'closed' } },
    store: port,
    timeoutMs: 10,
  })
  for (let i = 0; i < 5; i++) {
    const decision = limits.decide({})
    // Asked, and its timer runs; then something that takes long.
    await new Promise(setImmediate)
    const end = performance.now() + busyMs
    while (performance.now() < end);
    expect(await decision).toMatchObject({ outcome: 'allow' })
    expect((await limits.decide({ cost: 0 })).states[0]!.remaining).toBe(8 - i)
  }
  await limits.close()
})

test('what is leased here is left here', async () => {
  const { open } = store()
  const limits = open({ few: { atMost: 2, per: 'day' }, many: { atMost: 100, per: 'day' } })
  const other = open({ many: { atMost: 100, per: 'day' } })
  await count(Array.from({ length: 40 }, () => limits.decide({})))
  expect((await limits.decide({ cost: 0 })).states.map(({ remaining }) => remaining)).toEqual([0, 98])
  // To others it is not.
  expect((await other.decide({ cost: 0 })).states[0]!.remaining).toBeLessThan(98)
})

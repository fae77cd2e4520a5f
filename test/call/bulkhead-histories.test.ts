// Random histories of callers at a bulkhead, which wait, give up, are late and go: after every step the same ones are under way, in the line and refused
// as in the model. Then the same with each planted fault, which must be found.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Bulkhead } from '../../src/call/bulkhead.ts'
import type { Clock } from '../../src/core/clock.ts'
import { type Mutant, planted } from './planted.ts'

const histories = fc.record({
  concurrency: fc.integer({ min: 1, max: 3 }),
  waiting: fc.integer({ min: 0, max: 3 }),
  longestWait: fc.constantFrom(10, 40),
  steps: fc.array(
    fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({
          kind: fc.constant('enter' as const),
          withinMs: fc.constantFrom(undefined, undefined, 0, 5, 25),
        }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('try' as const) }) },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('leave' as const) }) },
      {
        weight: 2,
        arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(1, 5, 10, 20, 40) }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('give up' as const), which: fc.nat(20) }) },
    ),
    { minLength: 1, maxLength: 60 },
  ),
})

type History = typeof histories extends fc.Arbitrary<infer Value> ? Value : never

interface Caller {
  readonly dueMs: number
  readonly givingUp: AbortController
  /** As the model has it. */
  state: 'waiting' | 'in' | 'line' | 'wait' | 'cancelled' | 'gone'
  /** As it was told. */
  told: 'waiting' | 'in' | 'line' | 'wait' | 'cancelled'
}

async function play(
  make: typeof Bulkhead,
  { concurrency, waiting, longestWait, steps }: History,
): Promise<void> {
  let nowMs = 0.25
  const timers = new Map<() => void, number>()
  const clock: Clock = {
    now: () => nowMs,
    elapsed: () => nowMs,
    after: (ms, fire) => {
      timers.set(fire, nowMs + ms)
      return () => void timers.delete(fire)
    },
  }
  const bulkhead = new make({ concurrency, waiting, longestWait }, clock)
  const callers: Caller[] = []
  const which = (state: Caller['state']) => callers.filter((caller) => caller.state === state)
  let refused = 0

  const add = (withinMs: number | undefined): Caller => {
    const waitMs = Math.min(longestWait, withinMs ?? longestWait)
    const caller: Caller = {
      dueMs: nowMs + waitMs,
      givingUp: new AbortController(),
      state: 'waiting',
      told: 'waiting',
    }
    if (which('in').length < concurrency) caller.state = 'in'
    else if (which('waiting').length >= waiting) caller.state = 'line'
    else if (waitMs === 0) caller.state = 'wait'
    callers.push(caller)
    if (caller.state !== 'in' && caller.state !== 'waiting') refused++
    return caller
  }

  for (const step of steps) {
    if (step.kind === 'enter') {
      const caller = add(step.withinMs)
      void bulkhead.enter({ signal: caller.givingUp.signal, withinMs: step.withinMs }).then((refusal) => {
        caller.told = refusal === undefined ? 'in' : 'because' in refusal ? refusal.because : 'cancelled'
      })
    } else if (step.kind === 'try') {
      const may = which('in').length < concurrency
      assert.equal(bulkhead.tryEnter(), may, 'a place is given at once if there is one')
      if (may) Object.assign(add(undefined), { told: 'in' })
    } else if (step.kind === 'leave') {
      const [first] = which('in')
      if (first === undefined) continue
      bulkhead.leave()
      first.state = 'gone'
      const [next] = which('waiting')
      if (next !== undefined) next.state = 'in'
    } else if (step.kind === 'give up') {
      const caller = callers[step.which]
      caller?.givingUp.abort()
      if (caller?.state === 'waiting') caller.state = 'cancelled'
    } else {
      const until = nowMs + step.ms
      const first = () => [...timers].sort(([, a], [, b]) => a - b)[0]
      for (let timer = first(); timer !== undefined && timer[1] <= until; timer = first()) {
        nowMs = timer[1]
        timers.delete(timer[0])
        timer[0]()
      }
      nowMs = until
      for (const caller of which('waiting'))
        if (caller.dueMs <= nowMs) {
          caller.state = 'wait'
          refused++
        }
    }
    for (let turn = 0; turn < 4; turn++) await Promise.resolve()
    const seen = callers.map(({ told }) => told)
    const expected = callers.map(({ state, told }) => (state === 'gone' ? told : state))
    assert.deepEqual(seen, expected)
    assert.deepEqual(bulkhead.snapshot(), {
      underWay: which('in').length,
      waiting: which('waiting').length,
      refused,
    })
    assert.equal(timers.size, which('waiting').length > 0 ? 1 : 0, 'one timer for the line, none without')
  }
}

test('in every history the bulkhead does what the model does', () =>
  fc.assert(
    fc.asyncProperty(histories, (history) => play(Bulkhead, history)),
    { numRuns: 1_000 },
  ))

const file = 'bulkhead.ts'
const mutants: readonly Mutant[] = [
  {
    file,
    name: 'a place is lost when somebody waits',
    find: 'else first.end(undefined)',
    replace: "else first.end(full('wait'))",
  },
  {
    file,
    name: 'one more than may is under way',
    find: 'this.#underWay >= this.#concurrency',
    replace: 'this.#underWay > this.#concurrency',
  },
  {
    file,
    name: 'the last of the line is first',
    find: 'const [first] = this.#line\n',
    replace: 'const first = [...this.#line].at(-1)\n',
  },
  {
    file,
    name: 'the line has no bound',
    find: 'this.#line.size >= this.#longestLine || !(waitMs > 0)',
    replace: '!(waitMs > 0)',
  },
  {
    file,
    name: 'who gives up stays in the line',
    find: "signal?.addEventListener('abort', onAbort, { once: true })",
    replace: '',
  },
  {
    file,
    name: 'a place is freed although it was handed on',
    find: 'else first.end(undefined)',
    replace: 'else {\n      this.#underWay -= 1\n      first.end(undefined)\n    }',
  },
  {
    file,
    name: 'nobody looks again after the first who was late',
    find: 'if (nextMs < Number.POSITIVE_INFINITY) this.#arm(nextMs)',
    replace: '',
  },
  {
    file,
    name: 'who may wait for less long is told when the others are',
    find: 'if (dueMs >= this.#armedMs) return',
    replace: 'if (this.#cancelTimer !== undefined) return',
  },
  {
    file,
    name: 'the longest wait holds for nobody',
    find: 'Math.min(this.#longestWaitMs, withinMs)',
    replace: 'withinMs',
  },
  {
    file,
    name: 'the timer outlives the line',
    find: 'if (this.#line.size === 0) this.#disarm()',
    replace: '',
  },
]

test.each(mutants)('found: $name', async (mutant) => {
  const { Bulkhead: Planted } = (await planted(mutant, [file])) as { Bulkhead: typeof Bulkhead }
  const found = await fc.check(
    fc.asyncProperty(histories, (history) => play(Planted, history)),
    { numRuns: 1_000, seed: 4_711, endOnFailure: true },
  )
  expect(found.errorInstance).toBeInstanceOf(assert.AssertionError)
})

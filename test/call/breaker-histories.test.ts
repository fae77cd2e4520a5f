// Random histories of calls through a breaker: after every step it is in the state that the model is in, and gives leave where the model does.
// Then the same with each planted fault, which must be found.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Breaker, type Permit } from '../../src/call/breaker.ts'
import { type BreakerOptions, breakerRules } from '../../src/call/breaker-rules.ts'
import type { Clock } from '../../src/core/clock.ts'
import { BreakerModel, type Ending, type ModelCall } from './breaker-model.ts'
import { mutants } from './breaker-mutants.ts'
import { planted } from './planted.ts'

const someOptions: fc.Arbitrary<BreakerOptions> = fc.record({
  window: fc.constantFrom(10, 100, 250),
  minimumCalls: fc.integer({ min: 1, max: 5 }),
  failureRate: fc.constantFrom(0.3, 0.5, 1),
  slowCall: fc.constantFrom(20, 50),
  slowRate: fc.constantFrom(0.25, 0.75, 1),
  openFor: fc.constantFrom(5, 40),
  openForMax: fc.constantFrom(40, 90),
  trials: fc.integer({ min: 1, max: 3 }),
  trialTimeout: fc.constantFrom(30, 200),
})

const ending = fc.constantFrom<Ending>('succeeded', 'succeeded', 'failed', 'failed', 'cancelled')
const tookMs = fc.constantFrom(0, 0, 0, 19, 20, 60)
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('start' as const) }) },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('end' as const), which: fc.nat(20), ending, tookMs }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('calls' as const),
      times: fc.integer({ min: 1, max: 6 }),
      ending,
      tookMs,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('wait' as const),
      ms: fc.constantFrom(1, 5, 9, 10, 25, 30, 100, 200, 400),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait until it may be tried' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('force' as const),
      to: fc.constantFrom('open' as const, 'closed' as const, 'auto' as const, 'auto' as const),
    }),
  },
)

const histories = fc.record({
  options: someOptions,
  random: fc.constantFrom(0, 0.5, 0.999),
  steps: fc.array(step, { minLength: 1, maxLength: 60 }),
})

type History = typeof histories extends fc.Arbitrary<infer Value> ? Value : never

function play(make: typeof Breaker, { options, random, steps }: History): void {
  let nowMs = 1_000.5
  const clock: Clock = { now: () => nowMs, elapsed: () => nowMs, after: () => () => {} }
  const breaker = new make(options, { clock, random: () => random })
  const model = new BreakerModel(breakerRules(options), () => random)
  /** Also those that ended: what is said twice counts once. */
  const calls: { readonly permit: Permit; readonly modelled: ModelCall }[] = []

  const start = () => {
    const permit = breaker.acquire()
    const modelled = model.start(nowMs)
    assert.equal(permit.refused, modelled === undefined, 'leave is given as the model gives it')
    if (!permit.refused && modelled !== undefined) calls.unshift({ permit, modelled })
    return calls[0]
  }
  const end = (which: number, how: Ending, took: number) => {
    const call = calls[which]
    if (call === undefined) return
    if (how === 'cancelled') call.permit.cancelled()
    else call.permit[how](took)
    model.end(call.modelled, how, took, nowMs)
  }

  for (const step of steps) {
    const before = model.state
    if (step.kind === 'start') start()
    else if (step.kind === 'end') end(step.which, step.ending, step.tookMs)
    else if (step.kind === 'wait') nowMs += step.ms
    else if (step.kind === 'wait until it may be tried') nowMs += model.retryAfterMs(nowMs)
    else if (step.kind === 'force') {
      breaker.force(step.to)
      model.force(step.to)
    } else
      for (let time = 0; time < step.times; time++) {
        const known = calls.length
        start()
        if (calls.length > known) end(0, step.ending, step.tookMs)
      }
    const { state, forced, because, retryAfterMs, calls: counted, failed, slow } = breaker.snapshot()
    const expected = { retryAfterMs: model.retryAfterMs(nowMs), forced: model.forced, state: model.state }
    assert.deepEqual({ retryAfterMs, forced, state }, expected)
    assert.deepEqual({ calls: counted, failed, slow }, model.counts(nowMs))
    assert.equal(breaker.refusal()?.retryAfterMs ?? 0, retryAfterMs)
    if (before !== state) assert.notEqual(because, undefined, 'every change has its reason')
  }
}

test('in every history the breaker does what the model does', () => {
  fc.assert(
    fc.property(histories, (history) => play(Breaker, history)),
    { numRuns: 3_000 },
  )
})

test.each(mutants)('found: $name', async (mutant) => {
  const files = ['breaker.ts', 'breaker-rules.ts', 'breaker-window.ts']
  const { Breaker: Planted } = (await planted(mutant, files)) as { Breaker: typeof Breaker }
  const found = fc.check(
    fc.property(histories, (history) => play(Planted, history)),
    { numRuns: 1_000, seed: 4_711, endOnFailure: true },
  )
  expect(found.errorInstance).toBeInstanceOf(assert.AssertionError)
})

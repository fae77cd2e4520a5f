import { expect, test } from 'vitest'
import { fakeClock } from '../testing/fake-clock.ts'
import { Bulkhead, type BulkheadOptions } from './bulkhead.ts'

function bulkhead(options: BulkheadOptions) {
  const clock = fakeClock()
  const subject = new Bulkhead(options, clock)
  const told: string[] = []
  const enter = (name: string, how?: Parameters<Bulkhead['enter']>[0]) =>
    void subject.enter(how).then((refusal) => {
      told.push(
        refusal === undefined ? name : `${name}: ${'because' in refusal ? refusal.because : refusal.reason}`,
      )
    })
  return { clock, subject, told, enter }
}

test('so many are under way and no more; the line is served in its order, and nobody overtakes it', async () => {
  const { clock, subject, told, enter } = bulkhead({ concurrency: 2, waiting: 2 })
  for (const name of ['a', 'b', 'c', 'd', 'e']) enter(name)
  await clock.advance(0)
  expect(told).toEqual(['a', 'b', 'e: line'])
  subject.leave()
  expect(subject.tryEnter()).toBe(false)
  enter('f')
  subject.leave()
  subject.leave()
  await clock.advance(0)
  expect(told).toEqual(['a', 'b', 'e: line', 'c', 'd', 'f'])
  expect(subject.snapshot()).toEqual({ underWay: 2, waiting: 0, refused: 1 })
  subject.leave()
  subject.leave()
  expect(subject.snapshot().underWay).toBe(0)
  expect(clock.timers).toBe(0)
})

test('who waits too long is refused: by the longest wait, or by what it may wait itself, with one timer for all', async () => {
  const { clock, subject, told, enter } = bulkhead({ concurrency: 1, longestWait: '1s' })
  enter('a')
  enter('b')
  enter('c', { withinMs: 300 })
  enter('d', { withinMs: 5_000 })
  enter('now or never', { withinMs: 0 })
  await clock.advance(0)
  expect(clock.timers).toBe(1)
  await clock.advance(299)
  expect(told).toEqual(['a', 'now or never: wait'])
  await clock.advance(1)
  expect(told.at(-1)).toBe('c: wait')
  await clock.advance(700)
  expect(told.slice(3)).toEqual(['b: wait', 'd: wait'])
  expect(clock.timers).toBe(0)
  subject.leave()
  expect(subject.snapshot()).toEqual({ underWay: 0, waiting: 0, refused: 4 })
})

test('who gives up leaves the line, and its place goes to the next', async () => {
  const { clock, subject, told, enter } = bulkhead({ concurrency: 1 })
  const givingUp = new AbortController()
  enter('a')
  enter('b', { signal: givingUp.signal })
  enter('c')
  givingUp.abort()
  enter('d', { signal: givingUp.signal })
  await clock.advance(0)
  expect(told).toEqual(['a', 'b: cancelled', 'd: cancelled'])
  subject.leave()
  await clock.advance(0)
  expect(told.at(-1)).toBe('c')
  expect(subject.snapshot()).toEqual({ underWay: 1, waiting: 0, refused: 0 })
  expect(clock.timers).toBe(0)
})

test('without a line nobody waits', async () => {
  const { clock, told, enter } = bulkhead({ concurrency: 1, waiting: 0 })
  enter('a')
  enter('b')
  await clock.advance(0)
  expect(told).toEqual(['a', 'b: line'])
})

test.each([{ concurrency: 0 }, { concurrency: 1.5 }, { waiting: -1 }, { longestWait: -1 }, { wait: 1 }])(
  '%o cannot work',
  (options) => {
    expect(() => new Bulkhead(options as BulkheadOptions)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION' }),
    )
  },
)

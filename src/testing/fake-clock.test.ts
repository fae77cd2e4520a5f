import assert from 'node:assert/strict'
import { test } from 'vitest'
import { sleep } from '../core/clock.ts'
import { isSpillwayError } from '../core/errors.ts'
import { fakeClock } from './fake-clock.ts'

test('it stands still until it is advanced', async () => {
  const clock = fakeClock(1_000)
  assert.equal(clock.now(), 1_000)
  await new Promise((resolve) => setTimeout(resolve, 5))
  assert.equal(clock.now(), 1_000)
  await clock.advance(250)
  assert.equal(clock.now(), 1_250)
})

test('timers fire in the order of their times, those of one time in the order of their setting, each at its own time', async () => {
  const clock = fakeClock(0)
  const fired: string[] = []
  const note = (name: string) => () => fired.push(`${name}@${clock.now()}`)
  clock.after(30, note('c'))
  clock.after(10, note('a'))
  clock.after(10, note('b'))
  clock.after(41, note('late'))
  await clock.advance(40)
  assert.deepEqual(fired, ['a@10', 'b@10', 'c@30'])
  assert.equal(clock.timers, 1)
  await clock.advance(1)
  assert.deepEqual(fired, ['a@10', 'b@10', 'c@30', 'late@41'])
})

test('a hundred timers of one time fire in the order in which they were set', async () => {
  const clock = fakeClock(0)
  const fired: number[] = []
  const expected = Array.from({ length: 100 }, (_, index) => index)
  for (const index of expected) clock.after(10, () => fired.push(index))
  await clock.advance(10)
  assert.deepEqual(fired, expected)
})

test('asynchronous work that a timer starts may set timers that fire in the same span', async () => {
  const clock = fakeClock(0)
  const seen: number[] = []
  const work = (async () => {
    for (let round = 0; round < 5; round++) {
      await sleep(clock, 100)
      await new Promise<void>((resolve) => setImmediate(resolve))
      seen.push(clock.now())
    }
  })()
  await clock.advance(1_000)
  assert.deepEqual(seen, [100, 200, 300, 400, 500])
  await work
})

test('work that was started just before advancing sets its timers first', async () => {
  const clock = fakeClock(0)
  let at: number | undefined
  void Promise.resolve()
    .then(() => Promise.resolve())
    .then(() => sleep(clock, 10))
    .then(() => {
      at = clock.now()
    })
  await clock.advance(10)
  assert.equal(at, 10)
})

test('a cancelled timer does not fire; cancelling again, or after it fired, does nothing', async () => {
  const clock = fakeClock(0)
  const fired: string[] = []
  const cancel = clock.after(10, () => fired.push('cancelled'))
  const cancelFired = clock.after(10, () => fired.push('fired'))
  clock.after(20, () => fired.push('other'))
  cancel()
  cancel()
  assert.equal(clock.timers, 2)
  await clock.advance(10)
  cancelFired()
  assert.equal(clock.timers, 1)
  await clock.advance(10)
  assert.deepEqual(fired, ['fired', 'other'])
})

test('a timer may cancel one that is due at the same time', async () => {
  const clock = fakeClock(0)
  const fired: string[] = []
  clock.after(10, () => cancel())
  const cancel = clock.after(10, () => fired.push('cancelled'))
  await clock.advance(10)
  assert.deepEqual(fired, [])
})

test('overlapping calls run one after the other', async () => {
  const clock = fakeClock(0)
  const fired: number[] = []
  clock.after(5, () => fired.push(clock.now()))
  clock.after(15, () => fired.push(clock.now()))
  await Promise.all([clock.advance(10), clock.advance(10)])
  assert.deepEqual(fired, [5, 15])
  assert.equal(clock.now(), 20)
})

test('a delay below 0, or that is no number, fires when the time next moves, even by 0', async () => {
  const clock = fakeClock(0)
  let fired = 0
  clock.after(-5, () => fired++)
  clock.after(Number.NaN, () => fired++)
  assert.equal(fired, 0)
  await clock.advance(0)
  assert.equal(fired, 2)
})

test('an error in a timer rejects the call, after the others have fired; the clock goes on', async () => {
  const clock = fakeClock(0)
  let fired = 0
  clock.after(1, () => {
    throw new Error('broken')
  })
  clock.after(2, () => fired++)
  await assert.rejects(clock.advance(5), /broken/)
  assert.equal(fired, 1)
  assert.equal(clock.now(), 5)
  await clock.advance(5)
  assert.equal(clock.now(), 10)
})

test('time does not run backwards', async () => {
  const clock = fakeClock(0)
  for (const ms of [-1, Number.NaN, Number.POSITIVE_INFINITY])
    await assert.rejects(clock.advance(ms), (error) => isSpillwayError(error, 'INVALID_OPTION'))
  assert.equal(clock.now(), 0)
})

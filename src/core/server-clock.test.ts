import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ServerClock } from './server-clock.ts'

const second = 1_000_000
const hour = 3_600 * second
/** Far from our own clock, as servers are. */
const epoch = 1_700_000_000 * second

/** A server that answers within a millisecond, at a time that its clock is wrong by so much. */
function answering() {
  const clock = new ServerClock()
  let now = 0
  return {
    clock,
    after(us: number, wrongUs = 0, bucketUs = 0): number {
      now += us
      const latest = clock.latestUs(now)
      const server = epoch + now + 500 + wrongUs
      clock.heard(server, Math.max(Math.min(server, latest), bucketUs), now, now + 1_000)
      return latest - epoch - now
    },
  }
}

test('whatever a server says first is believed, and a second more afterwards', () => {
  const { after } = answering()
  expect(after(0)).toBeGreaterThan(hour)
  for (let count = 0; count < 1_000; count++) {
    const latest = after(10_000)
    expect(latest).toBeGreaterThan(second / 2)
    expect(latest).toBeLessThan(second + 2_000)
  }
})

test('a step forth is not believed, however often it is told', () => {
  const { after } = answering()
  after(0)
  for (let count = 0; count < 10_000; count++) after(1_000, hour)
  // Ten seconds went by: a thousandth of them, and the second.
  expect(after(0, hour)).toBeLessThan(1.02 * second)
})

test('a step back is believed at once, and what comes after is told from there', () => {
  const { after } = answering()
  after(0)
  after(1_000, -hour)
  expect(after(1_000, -hour)).toBeLessThan(second + 2_000 - hour)
  expect(after(1_000, -hour)).toBeGreaterThan(second / 2 - hour)
})

test('what another process has decided at is believed', () => {
  const { after } = answering()
  after(0)
  after(1_000, hour, epoch + hour)
  const latest = after(1_000, hour)
  expect(latest).toBeGreaterThan(hour - second)
  expect(latest).toBeLessThan(hour + 1.01 * second)
})

test('an answer that came late does not make the clock slow', () => {
  const clock = new ServerClock()
  clock.heard(epoch, epoch, 0, 500)
  clock.heard(epoch + 1_000, epoch + 1_000, 1_000, 10 * second)
  expect(clock.latestUs(10 * second)).toBeGreaterThanOrEqual(epoch + 10 * second)
})

test('a clock that runs a little faster than ours is followed', () => {
  const { after } = answering()
  after(0)
  let latest = 0
  for (let count = 0; count < 100_000; count++) latest = after(second, count * 100)
  expect(latest - 100_000 * 100).toBeGreaterThan(0)
})

test('after a week of right answers a step forth is believed no further than after a minute', () => {
  const { after } = answering()
  for (let count = 0; count < 10_000; count++) after(60 * second)
  expect(after(second, hour)).toBeLessThan(1.01 * second)
  expect(after(second, hour)).toBeLessThan(1.01 * second)
})

test('after a process has slept its buckets are the poorer, and catch up slowly', () => {
  const { after } = answering()
  after(0)
  // Our clock stood still for an hour.
  let latest = after(second, hour)
  expect(latest).toBeLessThan(1.01 * second)
  for (let count = 0; count < 1_000; count++) latest = after(1_000 * second, hour)
  expect(latest).toBeGreaterThan(0.2 * hour)
  for (let count = 0; count < 4_000; count++) latest = after(1_000 * second, hour)
  expect(latest).toBeGreaterThan(hour)
  expect(latest).toBeLessThan(hour + 1.01 * second)
})

test('whatever steps a server makes, forth and back, no more time passes for buckets than for us', () => {
  const step = fc.record({
    us: fc.nat(10 * second),
    wrongUs: fc.oneof(fc.constant(0), fc.integer({ min: -hour, max: hour })),
    tookUs: fc.nat(2 * second),
  })
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), (steps) => {
      const clock = new ServerClock()
      let [now, bucket] = [0, 0]
      let first: { readonly bucket: number; readonly now: number } | undefined
      for (const { us, wrongUs, tookUs } of steps) {
        now += us
        const server = epoch + now + tookUs / 2 + wrongUs
        bucket = Math.max(bucket, Math.min(server, clock.latestUs(now)))
        clock.heard(server, bucket, now, now + tookUs)
        now += tookUs
        first ??= { bucket, now: now - tookUs }
        expect(bucket - first.bucket).toBeLessThanOrEqual((now - first.now) * 1.001 + second + 1)
      }
    }),
  )
})

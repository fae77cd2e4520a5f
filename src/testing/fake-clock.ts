// A clock that stands still until a test moves it: timers fire in order, and what they set off runs in between.
import { setImmediate as nextTurn } from 'node:timers'
import type { Clock } from '../core/clock.ts'
import { SpillwayError } from '../core/errors.ts'
import { Heap, type Placed } from './memory/heap.ts'

export interface FakeClock extends Clock {
  /**
   * Moves the time on by `ms` and fires what falls due, each timer at its own time and those of one time in the order
   * in which they were set. Before, between and after, everything runs that needs no time: promises, and what they
   * start, so that a timer set by an earlier one in the same span fires too. (Real I/O is not waited for.)
   * Overlapping calls run one after the other. Rejects with the first error that a timer threw, after firing all.
   */
  advance(ms: number): Promise<void>
  /** How many timers are set: 0 when everything that waited has ended or was cancelled. */
  readonly timers: number
}

interface Timer extends Placed {
  readonly at: number
  readonly serial: number
  readonly fire: () => void
  set: boolean
}

/** A clock that starts at `start` (epoch ms; by default the beginning of 2026, UTC) and moves only by `advance`. */
export function fakeClock(start: number = Date.UTC(2026, 0, 1)): FakeClock {
  const timers = new Heap<Timer>((a, b) => a.at < b.at || (a.at === b.at && a.serial < b.serial))
  let now = start
  let serial = 0
  let last: Promise<unknown> = Promise.resolve()

  async function run(ms: number): Promise<void> {
    if (!(ms >= 0 && ms < Number.POSITIVE_INFINITY))
      throw new SpillwayError('INVALID_OPTION', `advance(${ms}): time moves on by 0 ms or more.`)
    const errors: unknown[] = []
    const until = now + ms
    await settle()
    for (let timer = timers.first(); timer !== undefined && timer.at <= until; timer = timers.first()) {
      timers.remove(timer)
      timer.set = false
      now = timer.at
      try {
        timer.fire()
      } catch (thrown) {
        errors.push(thrown)
      }
      await settle()
    }
    now = until
    if (errors.length > 0) throw errors[0]
  }

  return {
    now: () => now,
    elapsed: () => now - start,
    after(ms, fire) {
      // `|| 0`: like setTimeout, a delay that is no number is none.
      const timer: Timer = { at: now + Math.max(ms || 0, 0), serial: serial++, fire, set: true, place: 0 }
      timers.add(timer)
      return () => {
        if (timer.set) timers.remove(timer)
        timer.set = false
      }
    },
    advance(ms) {
      const done = last.then(() => run(ms))
      last = done.catch(() => {})
      return done
    },
    get timers() {
      return timers.size
    },
  }
}

// One turn of the event loop runs every promise that is ready; a few more let work run that takes turns itself, as calls of
// the in-memory engine do.
async function settle(): Promise<void> {
  for (let turn = 0; turn < 12; turn++) await new Promise<void>((resolve) => nextTurn(resolve))
}

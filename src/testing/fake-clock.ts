// A clock that stands still until a test moves it: timers fire in order, and what they set off runs in between.
import { setImmediate as nextTurn } from 'node:timers'
import type { Clock } from '../core/clock.ts'
import { type Duration, milliseconds } from '../core/duration.ts'
import { Heap, type Placed } from './memory/heap.ts'

export interface FakeClock extends Clock {
  /**
   * Moves the time on, by `'30s'`, `'1h'` or milliseconds, and fires what falls due, each timer at its own time and those of one time in the order
   * in which they were set. Before, between and after, everything runs that needs no time: promises, and what they
   * start, so that a timer set by an earlier one in the same span fires too. (Real I/O is not waited for.)
   * Overlapping calls run one after the other. Rejects with the first error that a timer threw, after firing all.
   */
  advance(by: Duration): Promise<void>
  /** How many timers are set: 0 when everything that waited has ended or was cancelled. */
  readonly timers: number
}

/** Work that takes turns for ever must not hold the clock. */
const mostTurns = 50
/** Real I/O gets a turn now and then. */
const timersPerTurn = 100

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

  async function run(by: Duration): Promise<void> {
    const ms = milliseconds(by, 'advance')
    const errors: unknown[] = []
    const until = now + ms
    let fired = 0
    await aTurn()
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
      fired += 1
      if (fired % timersPerTurn === 0) await aTurn()
    }
    now = until
    await aTurn()
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
    advance(by) {
      const done = last.then(() => run(by))
      last = done.catch(() => {})
      return done
    },
    get timers() {
      return timers.size
    },
  }
}

/** Everything that needs no time has run: promises, and what takes turns of the event loop, as calls of the in-memory engine do. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < mostTurns; turn++) {
    // Called from a promise, this comes after every other promise that is ready, and costs no turn of the loop.
    await new Promise<void>((resolve) => process.nextTick(resolve))
    if (!process.getActiveResourcesInfo().includes('Immediate')) return
    await aTurn()
  }
}

function aTurn(): Promise<void> {
  return new Promise((resolve) => nextTurn(resolve))
}

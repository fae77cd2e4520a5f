// What each algorithm means, by brute force: every unit that was ever taken is kept, and all of them are looked at for each answer.
import assert from 'node:assert/strict'
import type { Algorithm } from '../../src/core/bucket/algorithm.ts'
import type { Concurrency } from '../../src/core/bucket/concurrency.ts'
import type { CalendarWindow, FixedWindow } from '../../src/core/bucket/fixed-window.ts'
import type { Log } from '../../src/core/bucket/log.ts'
import type { SlidingWindow } from '../../src/core/bucket/sliding-window.ts'
import type { TokenBucket } from '../../src/core/bucket/token-bucket.ts'

export interface Model {
  available(nowUs: number): number
  isIdle(nowUs: number): boolean
  take(nowUs: number, cost: number, penalty: boolean): void
  /** Gives back what the `index`th take was that is no penalty. */
  refund(nowUs: number, index: number): void
  /** Looks at every window: throws when more was taken in one than the algorithm promises. Penalties are not what it bounds. */
  checkWindows(): void
}

export function modelOf(algorithm: Algorithm): Model {
  switch (algorithm.kind) {
    case 'token-bucket':
      return flowModel(algorithm)
    case 'log':
      return logModel(algorithm)
    case 'sliding-window':
      return slidingModel(algorithm)
    case 'fixed-window':
    case 'calendar-window':
      return windowModel(algorithm)
    case 'concurrency':
      return concurrencyModel(algorithm)
  }
}

const sum = (values: readonly number[]) => values.reduce((all, value) => all + value, 0)

/** What is missing is the most that any interval up to now has taken beyond what came in it ("n - r d over all intervals"). */
function flowModel({ capacity, unit, rate, tickUs }: TokenBucket): Model {
  const events: { readonly tick: number; readonly units: number; readonly penalty: boolean }[] = []
  const costs: number[] = []
  const tickOf = (nowUs: number) =>
    Math.max(Math.floor(nowUs / tickUs), ...events.slice(-1).map(({ tick }) => tick))
  const missing = (nowUs: number) => {
    const tick = tickOf(nowUs)
    return Math.max(
      0,
      ...events.map((from, i) => sum(events.slice(i).map(({ units }) => units)) - rate * (tick - from.tick)),
    )
  }
  return {
    available: (nowUs) => Math.floor((capacity * unit - missing(nowUs)) / unit),
    isIdle: (nowUs) => missing(nowUs) === 0,
    take(nowUs, cost, penalty) {
      const units = Math.min(cost * unit, 2 * capacity * unit - missing(nowUs))
      events.push({ tick: tickOf(nowUs), units, penalty })
      if (!penalty) costs.push(cost)
    },
    refund(nowUs, index) {
      const units = -Math.min(costs[index]! * unit, missing(nowUs))
      events.push({ tick: tickOf(nowUs), units, penalty: false })
    },
    checkWindows() {
      for (const [i, from] of events.entries())
        for (const [j, to] of events.entries()) {
          if (j < i) continue
          const net = sum(events.slice(i, j + 1).map(({ units, penalty }) => (penalty ? 0 : units)))
          const most = capacity * unit + rate * (to.tick - from.tick)
          assert.ok(net <= most, `${net} units in ${to.tick - from.tick} ticks, and no more than ${most}`)
        }
    },
  }
}

function logModel({ limit, ring, perUs }: Log): Model {
  interface Unit {
    readonly timeUs: number
    /** The take that it is of; undefined for a penalty. */
    readonly of: number | undefined
    remembered: boolean
    given: boolean
  }
  const units: Unit[] = []
  let takes = 0
  const known = () => units.filter(({ remembered }) => remembered)
  const timeOf = (nowUs: number) => Math.max(nowUs, ...known().map(({ timeUs }) => timeUs))
  const count = (timeUs: number) => known().filter((unit) => unit.timeUs > timeUs - perUs).length
  return {
    available: (nowUs) => limit - count(timeOf(nowUs)),
    isIdle: (nowUs) => count(nowUs) === 0,
    take(nowUs, cost, penalty) {
      const [timeUs, of] = [timeOf(nowUs), penalty ? undefined : takes++]
      for (let n = 0; n < cost; n++) units.push({ timeUs, of, remembered: true, given: false })
      for (const unit of known().slice(0, -ring)) unit.remembered = false
    },
    refund(_, index) {
      const own = units.filter(({ of }) => of === index)
      for (const unit of own) unit.given = true
      // One unit is like another of the same time: where a penalty pushed one of them out, which one is not known.
      for (const _ of own) {
        const same = units.find(({ remembered, timeUs }) => remembered && timeUs === own[0]!.timeUs)
        if (same) same.remembered = false
      }
    },
    checkWindows() {
      const all = units.filter(({ of, given }) => of !== undefined && !given)
      for (const { timeUs: from } of all) {
        const inside = all.filter(({ timeUs }) => timeUs >= from && timeUs < from + perUs)
        assert.ok(
          inside.length <= limit,
          `${inside.length} in a window of ${perUs} µs, and no more than ${limit}`,
        )
      }
    },
  }
}

function slidingModel({ limit, sliceUs }: SlidingWindow): Model {
  interface Take {
    readonly timeUs: number
    readonly slice: number
    readonly penalty: boolean
    readonly units: number
    given: boolean
  }
  const takes: Take[] = []
  let latest = 0
  const sliceOf = (nowUs: number) => Math.max(Math.floor(nowUs / sliceUs), latest)
  const count = (nowUs: number) =>
    sum(takes.filter(({ slice, given }) => !given && slice >= sliceOf(nowUs) - 16).map(({ units }) => units))
  return {
    available: (nowUs) => limit - count(nowUs),
    isIdle: (nowUs) => count(nowUs) === 0,
    take(nowUs, cost, penalty) {
      const units = Math.min(cost, 2 * limit - count(nowUs))
      latest = sliceOf(nowUs)
      takes.push({ timeUs: Math.max(nowUs, latest * sliceUs), slice: latest, penalty, units, given: false })
    },
    refund(nowUs, index) {
      latest = sliceOf(nowUs)
      const take = takes.filter(({ penalty }) => !penalty)[index]!
      if (take.slice >= latest - 16) take.given = true
    },
    checkWindows() {
      const all = takes.filter(({ penalty, given }) => !penalty && !given)
      for (const { timeUs: from } of all) {
        const inside = all.filter(({ timeUs }) => timeUs >= from && timeUs < from + 16 * sliceUs)
        assert.ok(sum(inside.map(({ units }) => units)) <= limit, `more than ${limit} in a window`)
      }
    },
  }
}

function windowModel(algorithm: FixedWindow | CalendarWindow): Model {
  interface Window {
    readonly endUs: number
    /** Below what was taken where something was given back. */
    count: number
  }
  const { limit } = algorithm
  const windows: Window[] = []
  const taken: { readonly window: Window; readonly cost: number; readonly timeUs: number; given: boolean }[] =
    []
  const ends = (nowUs: number) =>
    algorithm.kind === 'fixed-window'
      ? nowUs + algorithm.perUs
      : (Math.floor(nowUs / algorithm.endUs) + 1) * algorithm.endUs
  const open = (nowUs: number) => {
    const last = windows.at(-1)
    return last !== undefined && last.count > 0 && nowUs < last.endUs ? last : undefined
  }
  return {
    available: (nowUs) => limit - (open(nowUs)?.count ?? 0),
    isIdle: (nowUs) => open(nowUs) === undefined,
    take(nowUs, cost, penalty) {
      if (cost === 0) {
        if (!penalty) taken.push({ window: { endUs: 0, count: 0 }, cost, timeUs: nowUs, given: false })
        return
      }
      const window = open(nowUs) ?? { endUs: ends(nowUs), count: 0 }
      if (window !== windows.at(-1)) windows.push(window)
      const units = Math.min(cost, 2 * limit - window.count)
      window.count += units
      if (!penalty) taken.push({ window, cost, timeUs: nowUs, given: false })
    },
    refund(_, index) {
      const take = taken[index]!
      const last = windows.at(-1)
      if (last === undefined || take.window.endUs !== last.endUs) return
      take.given = true
      last.count = Math.max(last.count - take.cost, 0)
    },
    checkWindows() {
      for (const window of windows) {
        const inside = taken.filter((take) => take.window === window && !take.given)
        assert.ok(sum(inside.map(({ cost }) => cost)) <= limit, `more than ${limit} in a window of its own`)
      }
    },
  }
}

function concurrencyModel({ limit }: Concurrency): Model {
  const held: number[] = []
  const punished: number[] = []
  let given = 0
  const count = () => Math.max(sum(held) + sum(punished) - given, 0)
  return {
    available: () => limit - count(),
    isIdle: () => count() === 0,
    take(_, cost, penalty) {
      if (penalty) punished.push(cost)
      else held.push(cost)
    },
    refund(_, index) {
      given += held[index]!
    },
    checkWindows() {},
  }
}

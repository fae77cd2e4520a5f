// Sorts requests by time, those of one time in the order in which they came. Logs are nearly sorted: rising runs are found and merged.

/** Sorts from `from` to before `to` in place. */
export function sortByTime(times: Float64Array, costs: Float64Array, from: number, to: number): void {
  let runs = [from]
  for (let index = from + 1; index < to; index++) if (times[index]! < times[index - 1]!) runs.push(index)
  if (runs.length === 1) return
  let source: Side = { times, costs, at: 0 }
  let target: Side = { times: new Float64Array(to - from), costs: new Float64Array(to - from), at: -from }
  while (runs.length > 1) {
    const merged: number[] = []
    for (let run = 0; run < runs.length; run += 2) {
      const start = runs[run]!
      const middle = runs[run + 1] ?? to
      merge(source, target, start, middle, middle === to ? to : (runs[run + 2] ?? to))
      merged.push(start)
    }
    runs = merged
    const swapped = source
    source = target
    target = swapped
  }
  if (source.times !== times) {
    times.set(source.times, from)
    costs.set(source.costs, from)
  }
}

interface Side {
  readonly times: Float64Array
  readonly costs: Float64Array
  /** What is added to a place in the log. */
  readonly at: number
}

function merge(source: Side, target: Side, start: number, middle: number, end: number): void {
  let left = start
  let right = middle
  for (let to = start; to < end; to++) {
    const takesLeft =
      right >= end || (left < middle && source.times[left + source.at]! <= source.times[right + source.at]!)
    const from = (takesLeft ? left++ : right++) + source.at
    target.times[to + target.at] = source.times[from]!
    target.costs[to + target.at] = source.costs[from]!
  }
}

// The exact envelope of a sequence of requests, in one pass: the upper hull of (duration, cost) over all intervals of
// time. Decision 23 has the algorithm. Pieces of time are joined like the digits of a binary counter, so that as many
// nodes are open as the number of instants has digits; a node is three chains of points on three stacks.
import type { Envelope } from './envelope.ts'
import { Points } from './points.ts'
import { turn } from './turn.ts'

/** Where a node's chains begin on the stacks; they end where the next node's begin. */
interface Node {
  /** How many instants are in it. */
  size: number
  readonly ends: number
  readonly starts: number
  readonly intervals: number
}

export class EnvelopeBuilder {
  /** Upper hulls of (time, total with this instant): where intervals end. */
  readonly #ends = new Points()
  /** Lower hulls of (time, total before this instant): where intervals start. */
  readonly #starts = new Points()
  /** Upper hulls of (duration, cost) of intervals within a node. */
  readonly #intervals = new Points()
  readonly #crossing = new Points()
  readonly #merged = new Points()
  readonly #nodes: Node[] = []
  #total = 0
  #first: number | undefined
  #time = 0
  #cost = 0

  /** Times in microseconds must not fall; costs are at least 0. */
  push(time: number, cost: number): void {
    if (this.#first === undefined) {
      this.#first = time
      this.#time = time
    }
    if (time < this.#time) throw new RangeError(`${time} is before ${this.#time}`)
    if (time > this.#time) this.#endInstant()
    this.#time = time
    this.#cost += cost
  }

  /** Once, at the end. */
  finish(): Envelope {
    if (this.#first === undefined) return { durations: new Float64Array(0), costs: new Float64Array(0) }
    this.#endInstant()
    while (this.#nodes.length > 1) this.#join()
    const { x, y, length } = this.#intervals
    return { durations: x.slice(0, length), costs: y.slice(0, length) }
  }

  #endInstant(): void {
    const time = this.#time - this.#first!
    const nodes = this.#nodes
    nodes.push({
      size: 1,
      ends: this.#ends.length,
      starts: this.#starts.length,
      intervals: this.#intervals.length,
    })
    this.#starts.add(time, this.#total)
    this.#total += this.#cost
    this.#ends.add(time, this.#total)
    this.#intervals.add(0, this.#cost)
    this.#cost = 0
    while (nodes.length > 1 && nodes.at(-1)!.size === nodes.at(-2)!.size) this.#join()
  }

  /** The last two nodes become one. */
  #join(): void {
    const right = this.#nodes.pop()!
    const left = this.#nodes.at(-1)!
    left.size += right.size
    this.#cross(left, right)
    this.#mergeIntervals(left.intervals, right.intervals)
    appendChain(this.#ends, left.ends, right.ends, 1)
    appendChain(this.#starts, left.starts, right.starts, -1)
  }

  /** Intervals that start in the left node and end in the right one: the sum of two convex chains, edge by edge, the steeper first. */
  #cross(left: Node, right: Node): void {
    const { x: endX, y: endY } = this.#ends
    const { x: startX, y: startY } = this.#starts
    const lastEnd = this.#ends.length - 1
    const crossing = this.#crossing
    crossing.length = 0
    let end = right.ends
    let start = right.starts - 1
    crossing.add(endX[end]! - startX[start]!, endY[end]! - startY[start]!)
    while (end < lastEnd || start > left.starts) {
      const later =
        end < lastEnd &&
        (start === left.starts ||
          turn(
            startX[start]! - startX[start - 1]!,
            startY[start]! - startY[start - 1]!,
            endX[end + 1]! - endX[end]!,
            endY[end + 1]! - endY[end]!,
          ) >= 0)
      if (later) end += 1
      else start -= 1
      crossing.add(endX[end]! - startX[start]!, endY[end]! - startY[start]!)
    }
  }

  /** The upper hull of three chains, each sorted by duration. */
  #mergeIntervals(from: number, middle: number): void {
    const { x, y, length } = this.#intervals
    const crossing = this.#crossing
    const merged = this.#merged
    merged.length = 0
    let a = from
    let b = middle
    let c = 0
    for (;;) {
      const ax = a < middle ? x[a]! : Number.POSITIVE_INFINITY
      const bx = b < length ? x[b]! : Number.POSITIVE_INFINITY
      const cx = c < crossing.length ? crossing.x[c]! : Number.POSITIVE_INFINITY
      if (ax <= bx && ax <= cx) {
        if (a >= middle) break
        addAbove(merged, ax, y[a]!)
        a += 1
      } else if (bx <= cx) {
        addAbove(merged, bx, y[b]!)
        b += 1
      } else {
        addAbove(merged, cx, crossing.y[c]!)
        c += 1
      }
    }
    this.#intervals.replaceFrom(from, merged)
  }
}

/** What is no longer but cheaper is nothing to a bucket; what lies below a line between two others neither. */
function addAbove(hull: Points, x: number, y: number): void {
  const last = hull.length - 1
  if (last >= 0) {
    if (y <= hull.y[last]!) return
    if (x === hull.x[last]!) hull.length -= 1
  }
  dropBelow(hull, 0, x, y, 1)
  hull.add(x, y)
}

function dropBelow(hull: Points, from: number, x: number, y: number, side: 1 | -1): void {
  while (hull.length - from >= 2) {
    const last = hull.length - 1
    const baseX = hull.x[last - 1]!
    const baseY = hull.y[last - 1]!
    const turned = turn(hull.x[last]! - baseX, hull.y[last]! - baseY, x - baseX, y - baseY)
    if (side * turned < 0) return
    hull.length -= 1
  }
}

/** Two chains that lie behind one another become one: upper for side 1, lower for -1. The second is moved within its stack. */
function appendChain(points: Points, first: number, second: number, side: 1 | -1): void {
  const { length } = points
  points.length = second
  for (let from = second; from < length; from++) {
    const x = points.x[from]!
    const y = points.y[from]!
    const before = points.length
    dropBelow(points, first, x, y, side)
    points.add(x, y)
    // From the second of its points on that drops nothing, the rest of the chain stands as it is.
    if (from > second && points.length === before + 1) {
      points.x.copyWithin(points.length, from + 1, length)
      points.y.copyWithin(points.length, from + 1, length)
      points.length += length - from - 1
      return
    }
  }
}

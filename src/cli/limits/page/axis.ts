// Axes whose steps are tenfolds: from a value to its place, and the places that are named.

export interface Tick {
  readonly at: number
  readonly label: string
}

export interface Axis {
  readonly title: string
  readonly from: number
  readonly to: number
  readonly ticks: readonly Tick[]
}

/** Around all of these values, which must be above 0; `label` names a tick. */
export function axisOf(
  title: string,
  values: readonly number[],
  label: (value: number) => string,
  places: (from: number, to: number) => readonly number[] = tenfolds,
): Axis {
  const positive = values.filter((value) => value > 0 && Number.isFinite(value))
  // One by one: there may be more than a call takes arguments.
  let from = positive.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY)
  let to = positive.reduce((most, value) => Math.max(most, value), 0)
  if (positive.length === 0) [from, to] = [1, 10]
  if (to < from * 1.5) [from, to] = [from / 2, to * 2]
  const wider = (to / from) ** 0.04
  from /= wider
  to *= wider
  const ticks = places(from, to)
  return {
    title,
    from,
    to,
    ticks: (ticks.length > 1 ? ticks : tenfolds(from, to)).map((at) => ({ at, label: label(at) })),
  }
}

/** From 0 to 1 along the axis. */
export function along({ from, to }: Axis, value: number): number {
  return Math.log(Math.min(Math.max(value, from), to) / from) / Math.log(to / from)
}

function tenfolds(from: number, to: number): number[] {
  const decades = Math.log10(to / from)
  const steps = decades > 2.5 ? [1] : decades > 1 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 8]
  const every = Math.max(1, Math.ceil(decades / 8))
  const found: number[] = []
  for (let power = Math.floor(Math.log10(from)); power <= Math.log10(to); power++)
    for (const step of steps) {
      const value = power < 0 ? step / 10 ** -power : step * 10 ** power
      if (value >= from && value <= to && power % every === 0) found.push(value)
    }
  return found
}

/** Once and ten times a day, an hour, a minute, and tenfolds a second; more of them where these are too few. */
export function rateTicks(from: number, to: number): number[] {
  const few = ticksAt([1, 10], from, to)
  return few.length > 2 ? few : ticksAt([1, 2, 5, 10, 20, 30], from, to)
}

function ticksAt(counts: readonly number[], from: number, to: number): number[] {
  const slow = counts.flatMap((count) => [count / 86_400, count / 3_600, count / 60])
  const steps = counts.filter((count) => count < 10)
  const fast = Array.from({ length: 10 }, (_, power) => steps.map((step) => step * 10 ** power)).flat()
  return [...slow, ...fast].filter((rate) => rate >= from && rate <= to).sort((a, b) => a - b)
}

const times = [0.001, 0.01, 0.1, 1, 10, 60, 600, 3_600, 36_000, 86_400, 864_000, 8_640_000]

/** A second, ten, a minute, ten, and so on. */
export function timeTicks(from: number, to: number): number[] {
  return times.filter((time) => time >= from && time <= to)
}

export function rateLabel(ratePerSecond: number): string {
  for (const [unit, seconds] of [
    ['s', 1],
    ['min', 60],
    ['h', 3_600],
    ['day', 86_400],
  ] as const) {
    const count = ratePerSecond * seconds
    if (count >= 1 - 1e-9) return `${Number(count.toPrecision(3)).toLocaleString('en-US')}/${unit}`
  }
  return `${Number((ratePerSecond * 86_400).toPrecision(2))}/day`
}

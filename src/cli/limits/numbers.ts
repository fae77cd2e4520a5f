// Numbers of the tuner as people read them.

/** Whole as they are, others with four digits that count. */
export function costs(value: number): string {
  if (Number.isInteger(value)) return value.toLocaleString('en-US')
  return Number(value.toPrecision(Math.max(4, Math.ceil(Math.log10(Math.abs(value)))))).toLocaleString(
    'en-US',
    {
      maximumFractionDigits: 9,
    },
  )
}

const units = [
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
] as const

/** `3d 11h`, `12m 5s`, `2.5s`, `40ms`: the two largest units. */
export function seconds(value: number): string {
  if (value < 1) return `${costs(value * 1_000)}ms`
  for (const [index, [unit, size]] of units.entries())
    if (value >= size) {
      const [lower, lowerSize] = units[index + 1] ?? (['s', 1] as const)
      const rest = Math.floor((value % size) / lowerSize)
      return `${Math.floor(value / size)}${unit}${rest > 0 ? ` ${rest}${lower}` : ''}`
    }
  return `${costs(value)}s`
}

/** `99.9%`, `0.04%`, `0%`. */
export function percent(share: number): string {
  return `${Number((share * 100).toPrecision(3))}%`
}

/** `5 per second`, `0.37/s`. */
export function rateText({
  ratePerSecond,
  refill,
  per,
}: {
  readonly ratePerSecond: number
  readonly refill?: number
  readonly per?: string
}): string {
  return refill === undefined ? `${costs(ratePerSecond)}/s` : `${costs(refill)} per ${per}`
}

/** `2026-11-23 06:50:03`; with milliseconds if they are wanted. */
export function moment(iso: string, exactly = false): string {
  return iso.slice(0, exactly && !iso.endsWith('.000Z') ? 23 : 19).replace('T', ' ')
}

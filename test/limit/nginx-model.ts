// limit_req of nginx as it is documented to count: a level in thousandths of a request that leaks by the milliseconds.

export interface NginxLimit {
  /** Thousandths of a request a second. */
  readonly milli: number
  readonly burst: number
  /** So many of the burst are not delayed. */
  readonly delay: number
}

/** The limits of an exported fragment, by their zones. */
export function limitsIn(fragment: string): ReadonlyMap<string, NginxLimit> {
  const rates = new Map<string, number>()
  for (const [, zone, number, per] of fragment.matchAll(
    /^limit_req_zone .* zone=([^:]+):\S+ rate=(\d+)r\/([sm]);$/gm,
  ))
    rates.set(zone!, Math.floor((Number(number) * 1_000) / (per === 's' ? 1 : 60)))
  const found = new Map<string, NginxLimit>()
  for (const [, zone, rest] of fragment.matchAll(/^limit_req zone=(\S+?)((?: .*)?);$/gm)) {
    const burst = Number(/burst=(\d+)/.exec(rest!)?.[1] ?? 0)
    const delay = / nodelay/.test(rest!) ? burst : Number(/delay=(\d+)/.exec(rest!)?.[1] ?? 0)
    found.set(zone!, { milli: rates.get(zone!)!, burst, delay })
  }
  return found
}

/** When each of these is let through, in milliseconds; those who are refused are left out. Times are in milliseconds, with fractions. */
export function letThrough({ milli, burst, delay }: NginxLimit, times: readonly number[]): number[] {
  let excess = 0
  let last: number | undefined
  return times.flatMap((time) => {
    const now = Math.floor(time)
    const then =
      last === undefined ? 0 : Math.max(0, excess - Math.floor((milli * (now - last)) / 1_000) + 1_000)
    if (then > burst * 1_000) return []
    excess = then
    last = now
    const late = Math.floor((Math.max(0, excess - delay * 1_000) * 1_000) / milli)
    return [late === 0 ? time : Math.max(time, now + late)]
  })
}

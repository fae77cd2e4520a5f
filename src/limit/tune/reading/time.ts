// Times as logs have them, in whole microseconds since 1970. NaN for what is none.

const micros = 1_000_000

/** `2026-11-23T06:50:03.123456Z`, `2026-11-23 06:50:03+02:00`; without a zone it is UTC, beyond microseconds it is cut off. */
const iso = /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(?:(Z)|([+-])(\d\d):?(\d\d)?)?$/i

/** Of the line before, which mostly has the same minute: `2026-11-23T06:50:`, and when it began. */
let lastMinute = ''
let lastStart = 0

export function isoTime(text: string): number {
  const minute = text.slice(0, 17)
  if (minute === lastMinute) {
    const within = secondsInUtc(text)
    if (within >= 0) return lastStart + within
  }
  const time = anyIsoTime(text)
  const within = secondsInUtc(text)
  if (within >= 0 && !Number.isNaN(time)) {
    lastMinute = minute
    lastStart = time - within
  }
  return time
}

/** `03Z`, `03.120Z` from the 17th letter on, in microseconds; -1 for other forms. */
function secondsInUtc(text: string): number {
  const last = text.length - 1
  if (last < 19 || last > 26 || text.charCodeAt(last) !== 0x5a) return -1
  if (last > 19 && text.charCodeAt(19) !== 0x2e) return -1
  let value = 0
  for (let index = 17; index < last; index++) {
    if (index === 19) continue
    const digit = text.charCodeAt(index) - 0x30
    if (digit < 0 || digit > 9) return -1
    value = value * 10 + digit
  }
  if (last === 20) return -1
  value *= 10 ** (last === 19 ? 6 : 26 - last)
  return value < 60 * micros ? value : -1
}

function anyIsoTime(text: string): number {
  const [, year, month, day, hour, minute, second, fraction, , sign, zoneHour, zoneMinute] =
    iso.exec(text) ?? []
  if (year === undefined) return Number.NaN
  const whole = seconds(+year, +month!, +day!, +hour!, +minute!, +second!)
  const zone = sign === undefined ? 0 : zoneSeconds(sign, +zoneHour!, +(zoneMinute ?? 0))
  const part = fraction === undefined ? 0 : Number(fraction.slice(0, 6).padEnd(6, '0'))
  return (whole - zone) * micros + part
}

/** Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their size: 10^11 seconds are the year 5138, 10^11 ms 1973. */
export function epochTime(value: number): number {
  const size = Math.abs(value)
  if (!(size < 1e20)) return Number.NaN
  if (size < 1e11) return Math.round(value * micros)
  if (size < 1e14) return Math.round(value * 1_000)
  // Nanoseconds of today are rounded to some hundreds as it is: cut off they would be a microsecond too early.
  return Math.round(size < 1e17 ? value : value / 1_000)
}

const months = new Map(
  ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'].map((name, index) => [
    name,
    index + 1,
  ]),
)
const common = /^(\d\d)\/([A-Z][a-z]{2})\/(\d{4}):(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6})\d*)? ([+-])(\d\d)(\d\d)$/

/** `17/May/2015:10:05:03 +0000`, as access logs have it. */
export function accessTime(text: string): number {
  const [, day, month, year, hour, minute, second, fraction, sign, zoneHour, zoneMinute] =
    common.exec(text) ?? []
  const number = months.get(month ?? '')
  if (number === undefined) return Number.NaN
  const whole = seconds(+year!, number, +day!, +hour!, +minute!, +second!)
  const zone = zoneSeconds(sign!, +zoneHour!, +zoneMinute!)
  return (whole - zone) * micros + Number((fraction ?? '').padEnd(6, '0'))
}

/** A day has no more than 24 hours, and no zone is further away. */
function zoneSeconds(sign: string, hour: number, minute: number): number {
  if (hour > 23 || minute > 59) return Number.NaN
  return (hour * 60 + minute) * (sign === '-' ? -60 : 60)
}

/** A second of 60 is a leap second; a 31st of June is no time. */
function seconds(
  year: number,
  month: number,
  day: number,
  hour: number,
  minute: number,
  second: number,
): number {
  if (hour > 23 || minute > 59 || second > 60) return Number.NaN
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return Number.NaN
  return date.getTime() / 1_000 + hour * 3_600 + minute * 60 + second
}

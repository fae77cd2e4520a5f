// Dates as HTTP writes them (RFC 9110, 5.6.7): the form of today, and the two old ones that a reader must know.

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const month = `(${months.join('|')})`
const time = '(\\d{2}):(\\d{2}):(\\d{2})'

/** Sun, 06 Nov 1994 08:49:37 GMT */
const fixed = new RegExp(`^[A-Z][a-z]{2}, (\\d{2}) ${month} (\\d{4}) ${time} GMT$`)
/** Sunday, 06-Nov-94 08:49:37 GMT */
const rfc850 = new RegExp(`^[A-Z][a-z]{5,8}, (\\d{2})-${month}-(\\d{2}) ${time} GMT$`)
/** Sun Nov  6 08:49:37 1994 */
const asctime = new RegExp(`^[A-Z][a-z]{2} ${month} ([ \\d]\\d) ${time} (\\d{4})$`)

/** Milliseconds since the epoch, or undefined for what is no such date. `nowMs` decides the century of a year of two digits. */
export function httpDate(text: string, nowMs: number): number | undefined {
  const modern = fixed.exec(text)
  if (modern) return made(modern[3], modern[2], modern[1], modern.slice(4))
  const c = asctime.exec(text)
  if (c) return made(c[6], c[1], c[2], c.slice(3, 6))
  const old = rfc850.exec(text)
  if (!old) return undefined
  // What seems to be more than 50 years ahead is of the century before.
  const thisYear = new Date(nowMs).getUTCFullYear()
  const near = thisYear - (thisYear % 100) + Number(old[3])
  const year = near > thisYear + 50 ? near - 100 : near
  return made(String(year), old[2], old[1], old.slice(4))
}

function made(
  year: string | undefined,
  monthName: string | undefined,
  day: string | undefined,
  [hours, minutes, secs]: readonly string[],
): number | undefined {
  const [d, h, m, s] = [Number(day), Number(hours), Number(minutes), Number(secs)]
  const at = Date.UTC(Number(year), months.indexOf(monthName ?? ''), d, h, m, s)
  // The thirtieth of February is no date; a leap second is the next one.
  const inRange = d >= 1 && h < 24 && m < 60 && s <= 60 && new Date(at - s * 1_000).getUTCDate() === d
  return inRange ? at : undefined
}

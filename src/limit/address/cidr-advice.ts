// What to write in place of what people write for a range of addresses, and what other programs take.

const names: Readonly<Record<string, string>> = {
  loopback: "'127.0.0.0/8', '::1/128'",
  linklocal: "'169.254.0.0/16', 'fe80::/10'",
  uniquelocal: "'10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'",
}

/** A sentence or two. */
export function insteadOf(given: unknown): string {
  if (typeof given === 'boolean')
    return "Who trusts everybody believes what a client writes about itself. List the proxies' own ranges, such as '10.0.0.0/8'."
  if (typeof given === 'number')
    return "A number of hops holds only while nobody comes by a shorter way. List the proxies' own ranges, such as '10.0.0.0/8'."
  if (typeof given !== 'string') return "Write it as text, such as '10.0.0.0/8' or '2001:db8::/32'."
  const named = names[given.trim().toLowerCase()]
  if (named !== undefined) return `Write ${named}.`
  const written = ofDecimals(given.trim())
  if (written !== undefined) return `Write ${written}.`
  if (given.includes('-')) return 'Write it as one or more ranges with their lengths.'
  if (given.includes('%')) return 'Leave the zone away: a range has none.'
  return "Write an address and how many of its bits count, such as '10.0.0.0/8' or '2001:db8::/32'; names are not looked up."
}

/** Short forms, leading zeros, masks in dotted decimal, stars, and lengths out of range, of IPv4. */
function ofDecimals(text: string): string | undefined {
  const [, address = '', suffix] = /^([\d.*]{1,31})(?:\/([\d.]{1,31}))?$/.exec(text) ?? []
  const parts = address.replace(/\.$/, '').split('.')
  const stars = parts.indexOf('*')
  const octets = (stars < 0 ? parts : parts.slice(0, stars)).map(Number)
  const readable = octets.every((octet) => Number.isInteger(octet) && octet <= 255)
  if (address === '' || octets.length === 0 || parts.length > 4 || !readable) return undefined
  if (stars >= 0 && parts.slice(stars).some((part) => part !== '*')) return undefined
  const length = lengthOf(suffix) ?? octets.length * 8
  const write = (decimal: readonly number[]) => {
    const bytes = [0, 1, 2, 3].map((index) => decimal[index] ?? 0)
    const kept = bytes.map((byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, length - index * 8))))
    return `'${kept.join('.')}/${length}'`
  }
  if (!parts.some((part) => /^0\d/.test(part))) return write(octets)
  const octal = parts.map((part) => (/^0[0-7]*$/.test(part) ? Number.parseInt(part, 8) : Number(part)))
  if (octal.some((octet) => !(octet <= 255))) return write(octets)
  return `${write(octets)}, or ${write(octal)} if the leading zero meant octal`
}

/** Of `/8` or `/255.0.0.0`. Undefined when it is neither. */
function lengthOf(suffix: string | undefined): number | undefined {
  if (suffix === undefined) return undefined
  if (/^\d+$/.test(suffix)) return Number(suffix) <= 32 ? Number(suffix) : undefined
  const octets = suffix.split('.').map(Number)
  if (octets.length !== 4 || octets.some((octet) => octet > 255)) return undefined
  const bits = octets.map((octet) => octet.toString(2).padStart(8, '0')).join('')
  return /^1*0*$/.test(bits) ? bits.lastIndexOf('1') + 1 : undefined
}

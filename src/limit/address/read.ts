// Text to bits, strictly: what programs read in different ways (octal, short forms) is no address here.
import { type Bits, mapped } from './bits.ts'

/** No address with brackets, zone and port is longer. */
const longest = 120
const zone = /^[!-$&-.0-Z^-~]+$/
const port = /^:(?:\d{1,5}|_[A-Za-z0-9._-]+)$/
const [dot, colon, bracket] = [46, 58, 91]

/**
 * The bits of an address as it stands in sockets and in headers: also in brackets, with a port (a number, or hidden as
 * RFC 7239 has it) and with a zone; both are dropped. Undefined for everything else; never throws.
 */
export function readAddress(text: unknown): Bits | undefined {
  if (typeof text !== 'string' || text.length > longest) return undefined
  if (text.charCodeAt(0) === bracket) {
    const end = text.indexOf(']')
    return end > 0 && isPort(text, end + 1) ? readZoned(text, 1, end) : undefined
  }
  const first = text.indexOf(':')
  if (first < 0) return readPlain(text, 0, text.length)
  // One colon only: IPv4 and its port. More of them, without brackets: never a port, since nobody could tell it from a group.
  if (text.indexOf(':', first + 1) < 0) return isPort(text, first) ? read4Mapped(text, 0, first) : undefined
  return readZoned(text, 0, text.length)
}

/** The address alone: no brackets, port or zone. */
export function readPlain(text: string, start: number, end: number): Bits | undefined {
  return text.indexOf(':', start) < 0 ? read4Mapped(text, start, end) : read6(text, start, end)
}

function isPort(text: string, start: number): boolean {
  if (start === text.length) return true
  const rest = text.slice(start)
  return port.test(rest) && (rest.charAt(1) === '_' || Number(rest.slice(1)) <= 65_535)
}

function readZoned(text: string, start: number, end: number): Bits | undefined {
  const percent = text.indexOf('%', start)
  if (percent < 0 || percent >= end) return read6(text, start, end)
  return zone.test(text.slice(percent + 1, end)) ? read6(text, start, percent) : undefined
}

function read4Mapped(text: string, start: number, end: number): Bits | undefined {
  const quad = read4(text, start, end)
  return quad < 0 ? undefined : mapped(quad)
}

/** Four decimal numbers without leading zeros, as a word; -1 for anything else. */
function read4(text: string, start: number, end: number): number {
  if (end - start < 7 || end - start > 15) return -1
  let quad = 0
  let octet = 0
  let digits = 0
  let dots = 0
  for (let at = start; at < end; at++) {
    const code = text.charCodeAt(at)
    if (code === dot) {
      if (digits === 0 || ++dots > 3) return -1
      quad = quad * 256 + octet
      octet = digits = 0
    } else {
      if (code < 48 || code > 57 || (digits > 0 && octet === 0)) return -1
      octet = octet * 10 + code - 48
      digits++
      if (octet > 255) return -1
    }
  }
  return dots === 3 && digits > 0 ? quad * 256 + octet : -1
}

/** By the grammar of RFC 4291, section 2.2. */
function read6(text: string, start: number, end: number): Bits | undefined {
  const groups = [0, 0, 0, 0, 0, 0, 0, 0]
  let count = 0
  // Before which group `::` stands; -1: nowhere.
  let gap = text.startsWith('::', start) ? 0 : -1
  let at = gap < 0 ? start : start + 2
  while (at < end) {
    const begin = at
    let group = 0
    for (let digit = hex(text, at); digit >= 0 && at < end; digit = hex(text, at)) {
      group = group * 16 + digit
      if (++at - begin > 4) return undefined
    }
    if (at < end && text.charCodeAt(at) === dot) {
      const quad = read4(text, begin, end)
      if (quad < 0 || count > 6) return undefined
      groups[count++] = quad >>> 16
      groups[count++] = quad & 0xffff
      break
    }
    if (at === begin || count === 8) return undefined
    groups[count++] = group
    if (at === end) break
    if (text.charCodeAt(at++) !== colon || at === end) return undefined
    if (text.charCodeAt(at) === colon) {
      if (gap >= 0) return undefined
      gap = count
      at++
    }
  }
  if (gap < 0 ? count < 8 : count > 7) return undefined
  if (gap >= 0) for (let left = count; left > gap; ) move(groups, --left, left + 8 - count)
  return [word(groups, 0), word(groups, 2), word(groups, 4), word(groups, 6)]
}

function word(groups: readonly number[], index: number): number {
  return groups[index]! * 0x1_0000 + groups[index + 1]!
}

function move(groups: number[], from: number, to: number): void {
  const group = groups[from]!
  groups[from] = 0
  groups[to] = group
}

function hex(text: string, at: number): number {
  const code = text.charCodeAt(at)
  if (code >= 48 && code <= 57) return code - 48
  // Letters: lower and upper case differ in one bit.
  const letter = code | 32
  return letter >= 97 && letter <= 102 ? letter - 87 : -1
}

// An address as its 128 bits. IPv4 has no form of its own: it stands in ::ffff:0:0/96, where RFC 4291 maps it to, so that
// whatever notation it came in it is the same bits.

/** Four words of 32 bits, the first of the highest worth. */
export type Bits = readonly [number, number, number, number]

export function mapped(quad: number): Bits {
  return [0, 0, 0xffff, quad]
}

export function isV4(bits: Bits): boolean {
  return bits[0] === 0 && bits[1] === 0 && bits[2] === 0xffff
}

/** The first `length` of the 128 bits; the others are zero. */
export function keep(bits: Bits, length: number): Bits {
  return [
    keepWord(bits[0], length),
    keepWord(bits[1], length - 32),
    keepWord(bits[2], length - 64),
    keepWord(bits[3], length - 96),
  ]
}

function keepWord(word: number, length: number): number {
  if (length >= 32) return word
  return length <= 0 ? 0 : (word & (0xffff_ffff << (32 - length))) >>> 0
}

/** Whether the first `length` bits are the same. */
export function alike(a: Bits, b: Bits, length: number): boolean {
  if (length >= 32 && a[0] !== b[0]) return false
  return compare(keep(a, length), keep(b, length)) === 0
}

/** Below zero, zero or above it, as for `sort`. */
export function compare(a: Bits, b: Bits): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2] || a[3] - b[3]
}

/** IPv4 in dotted decimal, everything else by RFC 5952, always in hexadecimal. */
export function textOf(bits: Bits): string {
  if (!isV4(bits)) return text6(bits)
  const quad = bits[3]
  return `${quad >>> 24}.${(quad >>> 16) & 255}.${(quad >>> 8) & 255}.${quad & 255}`
}

/** In plain loops, since it is done for every request. */
function text6(bits: Bits): string {
  // The longest run of zero groups, the first among equals; a single one is written out.
  let start = 8
  let length = 1
  let run = 0
  for (let index = 0; index < 8; index++) {
    run = group(bits, index) === 0 ? run + 1 : 0
    if (run > length) {
      length = run
      start = index + 1 - run
    }
  }
  let text = ''
  for (let index = 0; index < 8; index++) {
    if (index === start) {
      text += '::'
      index += length - 1
    } else {
      if (index > 0 && index !== start + length) text += ':'
      text += group(bits, index).toString(16)
    }
  }
  return text
}

function group(bits: Bits, index: number): number {
  const word = bits[index >> 1]!
  return (index & 1) === 0 ? word >>> 16 : word & 0xffff
}

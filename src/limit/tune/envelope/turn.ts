// Which way three points turn, without being wrong: in floating point where that is certain, else in big integers.

const exactUpTo = 2 ** 53
/** What rounding can do to two products and their difference, with room to spare. */
const rounding = 2 ** -50

/**
 * The sign of ax·by − ay·bx: above zero when b lies to the left of a. Exact for whole numbers below 2^53. For others what
 * rounding could have made is zero.
 */
export function turn(ax: number, ay: number, bx: number, by: number): number {
  const left = ax * by
  const right = ay * bx
  const difference = left - right
  const size = Math.abs(left) + Math.abs(right)
  if (Math.abs(difference) > size * rounding) return difference
  if (!whole(ax, ay, bx, by)) return 0
  if (size <= exactUpTo) return difference
  return Number(BigInt(ax) * BigInt(by) - BigInt(ay) * BigInt(bx))
}

function whole(ax: number, ay: number, bx: number, by: number): boolean {
  return Number.isInteger(ax) && Number.isInteger(ay) && Number.isInteger(bx) && Number.isInteger(by)
}

// A policy's option that counts something.
import { SpillwayError } from './errors.ts'

/** The value; throws INVALID_OPTION naming `option` for what is no whole number from `least` to `most`. */
export function wholeOption(value: number, option: string, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value
  const [from, to] = [least, most].map((bound) => bound.toLocaleString('en-US'))
  throw new SpillwayError(
    'INVALID_OPTION',
    `${option} is ${value}; it takes a whole number from ${from} to ${to}.`,
  )
}

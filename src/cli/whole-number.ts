// Options that take a whole number.
import { InvalidArgumentError } from 'commander'

/** For `option(…, wholeNumber(1, 1000), …)`. */
export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= least && value <= most) return value
    throw new InvalidArgumentError(`It takes a whole number from ${least} to ${most}.`)
  }
}

// Numbers that callers give, checked before anything is done.
import { SpillwayError } from '../../core/errors.ts'

/** A whole number from `least` on. */
export function checkWhole(value: number, least: number, what: string): void {
  if (!Number.isSafeInteger(value) || value < least)
    throw outOfRange(value, `a whole number from ${least} on`, what)
}

/** Milliseconds, from `least` on; they need not be whole. */
export function checkMs(value: number, least: number, what: string): void {
  if (typeof value !== 'number' || !(value >= least) || value > longestMs)
    throw outOfRange(value, `milliseconds from ${least} on`, what)
}

/** What a timer takes: above it, it would ring at once. */
export const longestTimerMs: number = 2 ** 31 - 1

/** Three centuries: a time of now plus this is still a date. */
const longestMs = 1e13

function outOfRange(value: number, takes: string, what: string): SpillwayError {
  return new SpillwayError('INVALID_OPTION', `${what} is ${value}; it takes ${takes}.`, { engine: 'sqlite' })
}

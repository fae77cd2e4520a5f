// Numbers that callers give, checked before anything is done.
import { SpillwayError } from '../../core/errors.ts'

/** Throws INVALID_OPTION unless the value is a whole number from `least` up. */
export function requireWhole(name: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return
  throw new SpillwayError('INVALID_OPTION', `${name} is ${value}; it takes a whole number from ${least}.`, {
    engine: 'nats',
  })
}

/** Throws INVALID_OPTION unless the value is a number from `least` up. */
export function requireAtLeast(name: string, value: number, least: number): void {
  if (value >= least) return
  throw new SpillwayError('INVALID_OPTION', `${name} is ${value}; it takes a number from ${least}.`, {
    engine: 'nats',
  })
}

/** Throws INVALID_OPTION unless the partition is one of so many. */
export function requirePartition(stream: string, partition: number, partitions: number): void {
  if (Number.isInteger(partition) && partition >= 0 && partition < partitions) return
  throw new SpillwayError(
    'INVALID_OPTION',
    `The stream '${stream}' has the partitions 0 to ${partitions - 1}; ${partition} is none of them.`,
    { engine: 'nats' },
  )
}

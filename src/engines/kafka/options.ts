// Numbers that callers give, checked before anything is done.
import { SpillwayError } from '../../core/errors.ts'
import type { Cluster } from './cluster.ts'

/** Throws INVALID_OPTION unless the value is a whole number from `least` up. */
export function requireWhole(name: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return
  throw new SpillwayError('INVALID_OPTION', `${name} is ${value}; it takes a whole number from ${least}.`, {
    engine: 'kafka',
  })
}

/** Throws INVALID_OPTION unless the value is a number from `least` up. */
export function requireAtLeast(name: string, value: number, least: number): void {
  if (value >= least) return
  throw new SpillwayError('INVALID_OPTION', `${name} is ${value}; it takes a number from ${least}.`, {
    engine: 'kafka',
  })
}

/** Throws INVALID_OPTION unless the stream has all these partitions: as known, or, since some can be added, as asked. */
export async function requirePartitions(
  cluster: Cluster,
  stream: string,
  wanted: readonly { readonly partition: number }[],
): Promise<void> {
  const strange = ({ leaders }: { readonly leaders: readonly number[] }) =>
    wanted.find(({ partition }) => leaders[partition] === undefined)?.partition
  if (strange(cluster.known(stream) ?? (await cluster.topic(stream))) === undefined) return
  const topic = await cluster.current(stream)
  const partition = strange(topic)
  if (partition === undefined) return
  throw new SpillwayError(
    'INVALID_OPTION',
    `The stream '${stream}' has the partitions 0 to ${topic.leaders.length - 1}; ${partition} is none of them.`,
    { engine: 'kafka' },
  )
}

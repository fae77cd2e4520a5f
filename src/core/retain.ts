// How long the events of a stream are kept, as people write it.
import { type Duration, milliseconds } from './duration.ts'
import { describe, SpillwayError } from './errors.ts'

/** Bytes, or in decimal units: '500MB', '10GB'. */
export type Size = number | `${number}${'KB' | 'MB' | 'GB' | 'TB'}`

/**
 * What a stream keeps: everything for ever, or events for some time, or so many bytes of the newest. With both, an event goes that either
 * lets go. Or the last event of each key (`compact`), which needs an engine with the capability `compaction`, and events that all have keys. An
 * engine forgets when it finds the time, and in the pieces that it stores in: it may keep more, never less.
 */
export type Retain = 'forever' | RetainSome | RetainLast

export interface RetainSome {
  readonly for?: Duration
  readonly bytes?: Size
}

export interface RetainLast {
  readonly compact: true
  /**
   * For how long a tombstone is kept, an event that says of its key that there is nothing more: whoever is further behind does not see
   * that the key ended. Default '7d'.
   */
  readonly tombstones?: Duration
}

const units = { KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 } as const
const shortestMs = 1_000
const tombstones = '7d'

/** In whole milliseconds and bytes. Throws INVALID_OPTION for what is none. */
export function retentionOf(retain: Retain): {
  maxAgeMs?: number
  maxBytes?: number
  compact?: { tombstonesMs: number }
} {
  if (retain === 'forever') return {}
  if (isCompacted(retain)) return { compact: compactionOf(retain) }
  if (typeof retain !== 'object' || retain === null || (retain.for ?? retain.bytes) === undefined)
    throw new SpillwayError(
      'INVALID_OPTION',
      `retain is ${describe(retain)}; it takes 'forever', or how long or how much is kept: { for: '30d' }, { bytes: '10GB' }, or { compact: true }.`,
    )
  if ('tombstones' in retain)
    throw new SpillwayError('INVALID_OPTION', 'retain.tombstones is for a stream that is compacted.')
  const maxAgeMs = retain.for === undefined ? undefined : milliseconds(retain.for, 'retain.for')
  if (maxAgeMs !== undefined && maxAgeMs < shortestMs)
    throw new SpillwayError('INVALID_OPTION', `retain.for is ${retain.for}; it takes a second at least.`)
  return {
    ...(maxAgeMs === undefined ? {} : { maxAgeMs }),
    ...(retain.bytes === undefined ? {} : { maxBytes: bytesOf(retain.bytes) }),
  }
}

export function isCompacted(retain: Retain | undefined): retain is RetainLast {
  return typeof retain === 'object' && retain !== null && 'compact' in retain
}

function compactionOf(retain: RetainLast): { tombstonesMs: number } {
  if (retain.compact !== true)
    throw new SpillwayError('INVALID_OPTION', `retain.compact is ${describe(retain.compact)}; it takes true.`)
  if ('for' in retain || 'bytes' in retain)
    throw new SpillwayError(
      'INVALID_OPTION',
      'A stream that is compacted keeps the last event of each key, however old and however many: retain has no `for` and no `bytes` then.',
    )
  return { tombstonesMs: milliseconds(retain.tombstones ?? tombstones, 'retain.tombstones') }
}

function bytesOf(size: Size): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)(KB|MB|GB|TB)$/.exec(String(size)) ?? []
  const bytes =
    typeof size === 'number' ? size : Math.round(Number(digits) * units[unit as keyof typeof units])
  if (Number.isSafeInteger(bytes) && bytes >= 1) return bytes
  throw new SpillwayError(
    'INVALID_OPTION',
    `retain.bytes is ${describe(size)}; it takes a number of bytes, or '500MB', '10GB', '2TB'.`,
  )
}

// What a stream keeps, in Kafka's settings. A broker deletes whole segments, from the earliest on, and compacts those that are not being written.
import { limitsOf, type Retention } from '../../ports/retention.ts'

const hour = 3_600_000
const day = 24 * hour
const mebibyte = 1024 * 1024
/** As many segments as a limit is cut into: what is kept beyond it is one of them. */
const pieces = 8

/** What a stream without a retention has: a broker's own default would drop events after a week, read or not. */
export const everything: Readonly<Record<string, string>> = {
  'cleanup.policy': 'delete',
  'retention.ms': '-1',
  'retention.bytes': '-1',
}

/** `own`: how finely the log is cut and how soon it is compacted is left to whoever sets that himself. */
export function retentionSettings(
  retention: Retention,
  partitions: number,
  own: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const { maxAgeMs, maxBytes, tombstonesMs } = limitsOf('kafka', { compaction: true }, retention)
  const share = maxBytes === null ? undefined : Math.ceil(maxBytes / partitions)
  const pace = {
    'segment.ms':
      tombstonesMs !== null ? hour : maxAgeMs === null ? 7 * day : within(maxAgeMs / pieces, 1_000, 7 * day),
    'segment.bytes':
      share === undefined ? 1024 * mebibyte : within(share / pieces, mebibyte, 1024 * mebibyte),
    ...(tombstonesMs === null ? {} : { 'max.compaction.lag.ms': day }),
  }
  // With 'compact' alone a broker refuses to trim.
  return {
    ...everything,
    'retention.ms': String(maxAgeMs ?? -1),
    'retention.bytes': String(share ?? -1),
    ...(tombstonesMs === null
      ? {}
      : { 'cleanup.policy': 'compact,delete', 'delete.retention.ms': String(tombstonesMs) }),
    ...Object.fromEntries(
      Object.entries(pace).flatMap(([name, value]) => (name in own ? [] : [[name, String(value)]])),
    ),
  }
}

function within(value: number, least: number, most: number): number {
  return Math.ceil(Math.min(Math.max(value, least), most))
}

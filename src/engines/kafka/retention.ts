// What a stream keeps, in Kafka's settings. A broker deletes whole segments, from the earliest on, that are not being written.
import { limitsOf, type Retention } from '../../ports/retention.ts'

const day = 24 * 3_600_000
const mebibyte = 1024 * 1024
/** As many segments as a limit is cut into: what is kept beyond it is one of them. */
const pieces = 8

export function retentionSettings(retention: Retention, partitions: number): Record<string, string> {
  const { maxAgeMs, maxBytes } = limitsOf('kafka', retention)
  const share = maxBytes === null ? undefined : Math.ceil(maxBytes / partitions)
  return {
    'retention.ms': String(maxAgeMs ?? -1),
    'retention.bytes': String(share ?? -1),
    'segment.ms': String(maxAgeMs === null ? 7 * day : within(maxAgeMs / pieces, 1_000, 7 * day)),
    'segment.bytes': String(
      share === undefined ? 1024 * mebibyte : within(share / pieces, mebibyte, 1024 * mebibyte),
    ),
  }
}

function within(value: number, least: number, most: number): number {
  return Math.ceil(Math.min(Math.max(value, least), most))
}

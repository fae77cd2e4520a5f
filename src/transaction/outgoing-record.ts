// What a destination's port is given of a message that left a service.
import { isTombstone } from '../core/envelope.ts'
import { partitionOf } from '../core/partition.ts'
import type { OutboxMessage } from '../ports/database.ts'
import type { AppendRecord } from '../ports/stream.ts'

/** An event without a key may stand anywhere, but always in the same place: it may be sent again. */
export function recordOf(
  { id, key, body }: Omit<OutboxMessage, 'destination'>,
  partitions: number,
): AppendRecord {
  return { partition: partitionOf(key ?? id, partitions), key, body, tombstone: isTombstone(body) }
}

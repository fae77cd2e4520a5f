// What a queue is given to keep: by a send, or with a schedule.
import type { After, DedupKey } from './queue-rules.ts'

export interface OutgoingMessage {
  readonly id: string
  readonly key?: string | undefined
  /** The encoded message. Opaque to the engine, returned byte for byte. */
  readonly body: string
  /** Claimable only after this time from now. Only with the capability `delay`. */
  readonly delayMs?: number | undefined
  /** Only in a queue with the rule of the same name; see queue-rules.ts. INVALID_OPTION in another. */
  readonly priority?: number | undefined
  readonly dedup?: DedupKey | undefined
  readonly group?: string | undefined
  readonly after?: After | undefined
}

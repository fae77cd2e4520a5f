// A message as the in-memory engine keeps it.
import type { FailedStart } from '../../ports/queue.ts'
import type { HeldKey } from './dedup-keys.ts'
import type { Placed } from './heap.ts'

export interface StoredMessage extends Placed {
  readonly id: string
  readonly key: string | undefined
  readonly body: string
  readonly priority: number
  readonly group: string | undefined
  readonly dedup: HeldKey | undefined
  /** Its place in the order of the queue. */
  order: number
  state: 'ready' | 'delayed' | 'leased'
  /** When its delay or its lease ends. */
  due: number
  starts: number
  claims: number
  /** Its newest lease: stays when it ends by time, until the message is claimed again or settled. */
  lease: string | undefined
  suspect: boolean
  /** It is leased, and goes with its lease. */
  cancelled: boolean
  history: FailedStart[]
  /** Its neighbours among the messages with its key, in a queue with `keyOrder`. */
  ahead: StoredMessage | undefined
  behind: StoredMessage | undefined
}

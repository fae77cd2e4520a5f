// A message as the in-memory engine keeps it.
import type { FailedStart, OutgoingMessage } from '../../ports/queue.ts'
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
  state: 'ready' | 'delayed' | 'waiting' | 'leased'
  /** When its delay or its lease ends; while it waits for others, when its delay will have ended. */
  due: number
  starts: number
  claims: number
  /** Its newest lease: stays when it ends by time, until the message is claimed again or settled. */
  lease: string | undefined
  suspect: boolean
  /** It is leased, and goes with its lease. */
  cancelled: boolean
  history: FailedStart[]
  /** Others may wait for it. */
  tracked: boolean
  /** The others that it still waits for; and whether any end of theirs will do. */
  readonly waitsFor: Set<string>
  readonly anyEnd: boolean
  orphan: boolean
  redrivenAt: number | undefined
  /** What the holder of its lease said last. */
  progress: string | undefined
  /** In that line: below zero before those that came in their turn. */
  turn: number
  /** Its neighbours among the messages with its key, in a queue with `keyOrder`. */
  ahead: StoredMessage | undefined
  behind: StoredMessage | undefined
}

/** As it was sent. `tracked`: others may wait for it. */
export function newMessage(
  { id, key, body, priority = 0, group, after }: OutgoingMessage,
  dedup: HeldKey | undefined,
  tracked: boolean,
): StoredMessage {
  return {
    id,
    key,
    body,
    priority,
    group,
    dedup,
    order: 0,
    state: 'ready',
    due: 0,
    starts: 0,
    claims: 0,
    lease: undefined,
    suspect: false,
    cancelled: false,
    history: [],
    tracked,
    waitsFor: new Set(),
    anyEnd: after?.anyEnd === true,
    orphan: false,
    redrivenAt: undefined,
    progress: undefined,
    turn: 0,
    ahead: undefined,
    behind: undefined,
    place: 0,
  }
}

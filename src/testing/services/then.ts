// What came of a message: how its attempt ended, and what its handler sent.
import type { Settled } from '../../core/settled.ts'
import type { OutboxMessage } from '../../ports/database.ts'
import type { Cancelled } from './kept.ts'
import { Sent } from './sent.ts'

/** An attempt that ended, with what only a test wants to know of it. */
export interface AttemptEnd extends Pick<Settled, 'outcome' | 'reason'> {
  /** What the handler threw, or why no handler was given the message. */
  readonly error: Error | undefined
  /** When it would come again, from now. */
  readonly retryInMs: number | undefined
}

export class Then extends Sent implements AttemptEnd {
  readonly outcome: Settled['outcome']
  readonly reason?: string
  readonly error: Error | undefined
  /** Of one that is retried: after how many milliseconds. Chance, where the retry policy chose it. */
  readonly retryInMs: number | undefined

  constructor(
    { outcome, reason, error, retryInMs }: AttemptEnd,
    sent: readonly OutboxMessage[],
    cancelled: readonly Cancelled[],
  ) {
    super(sent, cancelled)
    this.outcome = outcome
    if (reason !== undefined) this.reason = reason
    this.error = error
    this.retryInMs = retryInMs
  }
}

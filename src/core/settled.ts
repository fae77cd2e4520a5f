// How attempts ended, once that is stored: values for a callback. Tests wait for them, metrics count them.
import type { Message } from './message.ts'

export interface Settled<Data = unknown> {
  /** The CloudEvents type of the contract: `orders.placed`, `orders.receipt`. The stream for an event that cannot be read. */
  readonly type: string
  /** Who handled it: the context; outside contexts the consumer group, or the queue. */
  readonly by: string
  /**
   * `retried`: it comes again later. `parked`: it stands aside in the service's database. `cancelled`: somebody cancelled it, and it is
   * gone. What is only given back, at a stop or with a lost lease, is not settled.
   */
  readonly outcome: 'done' | 'retried' | 'dead-lettered' | 'parked' | 'cancelled'
  /** Why it was not done. */
  readonly reason?: string
  /** 1 for the first. 0 for an event that was parked behind another without being tried. */
  readonly attempt: number
  /** As the handler was given it; undefined where no handler was. */
  readonly message: Message<Data> | undefined
}

/** Called once for each. What it throws becomes a process warning. */
export type OnSettled = (settled: Settled) => void

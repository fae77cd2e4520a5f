// Looking at messages that are in a queue, opened as a handler would see them.
import type { QueueContract } from '../core/contract.ts'
import { unseal } from '../core/envelope.ts'
import { SpillwayError } from '../core/errors.ts'
import type { Message } from '../core/message.ts'
import type { PeekedMessage } from '../ports/queue-control.ts'

/** A message in the queue that is no dead letter. */
export interface WaitingMessage<Out> extends Omit<PeekedMessage, 'due' | 'progress'> {
  /** When its delay, its retry or its lease ends. */
  readonly due: Date | undefined
  /** What its handler said last of how far it is; undefined when it said nothing. */
  readonly progress?: unknown
  /** With its data validated and brought up to the newest version; undefined when it cannot be read. */
  readonly message: Message<Out> | undefined
  /** Why it cannot be read, and will go to the dead letters. */
  readonly problem: SpillwayError | undefined
}

export async function opened<Out>(
  contract: QueueContract<unknown, Out>,
  { progress: said, ...peeked }: PeekedMessage,
): Promise<WaitingMessage<Out>> {
  const read = await unseal(contract, peeked.body)
  const due = peeked.due === undefined ? undefined : new Date(peeked.due)
  const progress = said === undefined ? {} : { progress: JSON.parse(said) as unknown }
  if (read instanceof SpillwayError) return { ...peeked, ...progress, due, message: undefined, problem: read }
  return { ...peeked, ...progress, due, message: read, problem: undefined }
}

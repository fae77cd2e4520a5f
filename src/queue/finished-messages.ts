// The finished messages that a queue keeps: opened for who looks at them, and trimmed by the consumers of the queue.
import type { Clock } from '../core/clock.ts'
import type { QueueContract } from '../core/contract.ts'
import { unseal } from '../core/envelope.ts'
import { asSpillwayError, isSpillwayError, SpillwayError } from '../core/errors.ts'
import type { Message } from '../core/message.ts'
import { guarded, type OnReport } from '../core/report.ts'
import type { QueuePort } from '../ports/queue.ts'
import type { FinishedMessage as Stored } from '../ports/queue-control.ts'

/** A message that was done. */
export interface FinishedMessage<Out> extends Omit<Stored, 'finishedAt'> {
  readonly finishedAt: Date
  /** With its data validated and brought up to the newest version; undefined when it cannot be read. */
  readonly message: Message<Out> | undefined
  readonly problem: SpillwayError | undefined
}

export async function openFinished<Out>(
  contract: QueueContract<unknown, Out>,
  stored: Stored,
): Promise<FinishedMessage<Out>> {
  const read = await unseal(contract, stored.body)
  const finishedAt = new Date(stored.finishedAt)
  if (read instanceof SpillwayError) return { ...stored, finishedAt, message: undefined, problem: read }
  return { ...stored, finishedAt, message: read, problem: undefined }
}

const everyMs = 60_000
/** There may be more than one step removes. */
const againMs = 50

/**
 * Removes what need not be kept any more, a step at a time, for as long as a consumer works; what an earlier contract kept, once. The
 * function that is returned ends it, and resolves when it has ended.
 */
export function trimFinished(
  contract: QueueContract,
  port: QueuePort,
  clock: Clock,
  onReport: OnReport | undefined,
): () => Promise<void> {
  if (!port.capabilities.finished) return async () => {}
  const { queue, keepFinished } = contract
  const report = guarded(onReport)
  let over = false
  let cancel = () => {}
  let running = Promise.resolve()
  const step = async (): Promise<void> => {
    let waitMs = everyMs
    try {
      const removed = await port.trimFinished(queue)
      if (removed > 0) waitMs = againMs
      else if (keepFinished === undefined) return
    } catch (thrown) {
      if (over || isSpillwayError(thrown, 'CLOSED')) return
      report({ from: `the finished messages of ${queue}`, error: asSpillwayError(thrown) })
    }
    if (!over) cancel = clock.after(waitMs, begin)
  }
  const begin = (): void => {
    running = step()
  }
  begin()
  return () => {
    over = true
    cancel()
    return running
  }
}

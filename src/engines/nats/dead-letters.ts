// Dead letters: messages of the queue's stream under a subject of their own. A handle is a sequence.
import type { DeadMessage } from '../../ports/queue.ts'
import type { Api } from './api.ts'
import { readDeadLetter, writeMessage } from './queue-message.ts'
import type { KnownQueue } from './queues.ts'

export class DeadLetters {
  readonly #api: Api

  constructor(api: Api) {
    this.#api = api
  }

  async list(queue: KnownQueue, limit: number, after: string | undefined): Promise<DeadMessage[]> {
    const found: DeadMessage[] = []
    let next = (sequenceIn(after ?? '') ?? 0) + 1
    while (found.length < limit) {
      const stored = await this.#api.message(queue.names.stream, {
        seq: next,
        next_by_subj: queue.names.dead,
      })
      if (stored === undefined) break
      const { id, key, body, reason, starts } = readDeadLetter(stored.data)
      const handle = String(stored.sequence)
      found.push({ handle, id, key, body, reason, starts, diedAt: stored.time, history: [] })
      next = stored.sequence + 1
    }
    return found
  }

  /** Appended with an id, then removed: whoever removes it counts it, and nobody appends it twice. */
  async redrive(queue: KnownQueue, handles: readonly string[]): Promise<number> {
    let count = 0
    for (const handle of new Set(handles)) {
      const sequence = sequenceIn(handle)
      if (sequence === undefined) continue
      const stored = await this.#api.message(queue.names.stream, { seq: sequence })
      if (stored?.subject !== queue.names.dead) continue
      const { id, key, token, body } = readDeadLetter(stored.data)
      const headers = { 'Nats-Msg-Id': `redriven-${sequence}` }
      await this.#api.persist((ms) =>
        this.#api.store(
          queue.names.work,
          writeMessage({ id, key, token, redrivenAt: Date.now(), body }),
          headers,
          ms,
        ),
      )
      if (await this.#api.removeMessage(queue.names.stream, sequence)) count += 1
    }
    return count
  }
}

function sequenceIn(handle: string): number | undefined {
  const sequence = /^[1-9]\d{0,15}$/.test(handle) ? Number(handle) : 0
  return Number.isSafeInteger(sequence) && sequence > 0 ? sequence : undefined
}

// Settling and extending: words to the consumer on the server, which works them off in order, so that the answer to the
// last one is the answer to all.
import type { ExtendResult, Settlement, SettleResult } from '../../ports/queue.ts'
import type { Api } from './api.ts'
import type { Lease, Leases } from './leases.ts'
import type { Marks } from './marks.ts'
import { readMessage, writeDeadLetter } from './queue-message.ts'
import type { KnownQueue, Queues } from './queues.ts'

const nanoseconds = 1_000_000
/** A server that syncs each acknowledgement has to be able to answer in time. */
const wordsAtOnce = 1_000

interface Word {
  readonly ackSubject: string
  readonly text: string
}

export class QueueSettle {
  readonly #api: Api
  readonly #queues: Queues
  readonly #leases: Leases
  readonly #marks: Marks

  constructor(api: Api, queues: Queues, leases: Leases, marks: Marks) {
    this.#api = api
    this.#queues = queues
    this.#leases = leases
    this.#marks = marks
  }

  async settle(name: string, settlements: readonly Settlement[]): Promise<SettleResult[]> {
    const queue = await this.#queues.get(name)
    const results: SettleResult[] = []
    const ending = new Map<string, Lease>()
    const words = await Promise.all(
      settlements.map((settlement, index) => {
        const lease = ending.has(settlement.lease) ? undefined : this.#leases.find(queue, settlement.lease)
        results[index] = lease === undefined ? 'stale' : 'settled'
        if (lease === undefined) return undefined
        ending.set(settlement.lease, lease)
        return this.#prepare(queue, lease, settlement)
      }),
    )
    await this.#say(words.filter((word) => word !== undefined))
    for (const [lease, { mark }] of ending) {
      this.#leases.remove(lease)
      if (mark !== undefined) this.#marks.remove(queue, mark)
    }
    return results
  }

  async extend(name: string, leases: readonly string[], leaseMs: number): Promise<ExtendResult[]> {
    const queue = await this.#queues.get(name)
    const until = performance.now() + leaseMs
    const found = leases.map((lease) => this.#leases.find(queue, lease))
    const live = found.filter((lease) => lease !== undefined)
    await this.#say(live.map(({ ackSubject }) => ({ ackSubject, text: again(leaseMs) })))
    for (const lease of live) lease.until = until
    return found.map((lease) => (lease === undefined ? 'stale' : 'extended'))
  }

  /** Stores what has to be there before the word is said. */
  #prepare(queue: KnownQueue, lease: Lease, settlement: Settlement): Word | Promise<Word> {
    const { ackSubject } = lease
    switch (settlement.kind) {
      case 'done':
        return { ackSubject, text: '+ACK' }
      case 'release':
        return this.#wait(queue, lease, 1, 0)
      case 'retry':
        return this.#wait(queue, lease, 0, settlement.delayMs)
      case 'dead-letter':
        return this.#bury(queue, lease, settlement.reason)
    }
  }

  async #wait(queue: KnownQueue, lease: Lease, releases: number, delayMs: number): Promise<Word> {
    const { sequence, delivery, ackSubject } = lease
    const before = lease.releases ?? (await this.#marks.find(queue, sequence))?.releases ?? 0
    const dueAt = delayMs === 0 ? 0 : Math.round(Date.now() + delayMs)
    await this.#marks.put(queue, { sequence, delivery, releases: before + releases, dueAt })
    return { ackSubject, text: again(delayMs) }
  }

  async #bury(queue: KnownQueue, lease: Lease, reason: string): Promise<Word> {
    const { sequence, delivery, ackSubject } = lease
    const word = { ackSubject, text: '+ACK' }
    const message = lease.message ?? (await this.#fetch(queue, sequence))
    // Settled meanwhile: there is nothing to bury.
    if (message === undefined) return word
    const before = lease.releases ?? (await this.#marks.find(queue, sequence))?.releases ?? 0
    const token = message.token + delivery
    const letter = writeDeadLetter({ ...message, token, starts: delivery - before, reason })
    const headers = { 'Nats-Msg-Id': `dead-${sequence}` }
    await this.#api.persist((ms) => this.#api.store(queue.names.dead, letter, headers, ms))
    return word
  }

  async #fetch(queue: KnownQueue, sequence: number) {
    const stored = await this.#api.message(queue.names.stream, { seq: sequence })
    return stored?.subject === queue.names.work ? readMessage(stored.data, sequence) : undefined
  }

  async #say(words: readonly Word[]): Promise<void> {
    for (let from = 0; from < words.length; from += wordsAtOnce) {
      const some = words.slice(from, from + wordsAtOnce)
      const last = some.pop()!
      await this.#api.link.ready(this.#api.timeoutMs)
      for (const { ackSubject, text } of some) this.#api.link.publish(ackSubject, text)
      await this.#api.link.request(last.ackSubject, last.text, this.#api.timeoutMs)
    }
  }
}

/** Not acknowledged: to be delivered again after so long. */
function again(delayMs: number): string {
  return delayMs === 0 ? '-NAK' : `-NAK {"delay": ${Math.max(1, Math.round(delayMs * nanoseconds))}}`
}

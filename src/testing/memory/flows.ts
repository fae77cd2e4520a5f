// Which messages wait for which, over all queues of a store, and how those ended that may be waited for.
import type { Clock } from '../../core/clock.ts'
import type { OutgoingMessage } from '../../ports/queue.ts'
import { flowMemoryMs, unknownMessage } from '../../ports/queue-rules.ts'
import { engineName } from './limits.ts'
import type { StoredMessage } from './stored-message.ts'

/** A queue that has messages which wait. */
export interface Waits {
  /** It waits for nothing more. */
  letGo(message: StoredMessage): void
  serve(): void
}

interface Waiter {
  readonly message: StoredMessage
  readonly queue: Waits
}

export type End = 'done' | 'dead' | 'gone'

export class Flows {
  readonly #clock: Clock
  /** How many messages with an id are in queues with the rule, and how many of them are dead letters. */
  readonly #live = new Map<string, number>()
  readonly #dead = new Map<string, number>()
  /** Those that ended for good, the earliest first. */
  readonly #ended = new Map<string, { readonly how: 'done' | 'gone'; readonly until: number }>()
  /** Duplicates that were not stored: whose end is theirs. */
  readonly #standIn = new Map<string, string>()
  readonly #waiters = new Map<string, Set<Waiter>>()
  readonly #touched = new Set<Waits>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Throws UNKNOWN_MESSAGE for what one of them may not wait for. `stored` says which of the call will be stored. */
  check(messages: readonly OutgoingMessage[]): void {
    const before = new Set<string>()
    for (const { id, after } of messages) {
      if (after !== undefined && after.mayCome !== true)
        for (const other of after.ids)
          if (!before.has(other) && this.#state(other) === 'unknown') throw unknownMessage(engineName, other)
      before.add(id)
    }
  }

  /** Begins to wait. It may be for nothing: then `message.waitsFor` stays empty. */
  wait(message: StoredMessage, { ids }: NonNullable<OutgoingMessage['after']>, queue: Waits): void {
    for (const id of new Set(ids)) {
      const state = this.#state(id)
      const over = state === 'done' || state === 'gone' || (state === 'dead' && message.anyEnd)
      if (state === 'gone' && !message.anyEnd) message.orphan = true
      if (over) continue
      message.waitsFor.add(id)
      const waiters = this.#waiters.get(id) ?? new Set()
      this.#waiters.set(id, waiters.add({ message, queue }))
    }
    if (message.orphan) this.stopWaiting(message)
  }

  /** It leaves, or its queue has no such rule any more. */
  stopWaiting(message: StoredMessage): void {
    for (const id of message.waitsFor) {
      const waiters = this.#waiters.get(id)
      for (const waiter of waiters ?? []) if (waiter.message === message) waiters!.delete(waiter)
      if (waiters?.size === 0) this.#waiters.delete(id)
    }
    message.waitsFor.clear()
  }

  /** Whether somebody waits for this message, or for one whose end is its end. */
  isWaitedFor(id: string): boolean {
    if (this.#waiters.has(id)) return true
    return [...this.#standIn].some(([other, holder]) => holder === id && this.#waiters.has(other))
  }

  entered({ id }: StoredMessage): void {
    count(this.#live, id, 1)
  }

  redriven({ id }: StoredMessage): void {
    count(this.#dead, id, -1)
  }

  /** A message was not stored, because another one has its key. */
  duplicate(id: string, holder: string): void {
    if (id === holder) return
    const state = this.#state(holder)
    if (state === 'live' || state === 'dead') this.#standIn.set(id, holder)
    else this.#end(id, state === 'gone' ? 'gone' : 'done')
  }

  /** It left its queue, or, with `wasDead`, the dead letters. */
  ended({ id }: StoredMessage, how: End, wasDead = false): void {
    count(wasDead ? this.#dead : this.#live, id, -1)
    if (how === 'dead') count(this.#dead, id, 1)
    const others = [...this.#standIn].filter(([, holder]) => holder === id)
    for (const each of [id, ...others.map(([other]) => other)]) {
      if (how !== 'dead') this.#standIn.delete(each)
      this.#end(each, how)
    }
  }

  /** Queues in which something was let go offer it to those who wait there. */
  serve(): void {
    for (const queue of this.#touched) {
      this.#touched.delete(queue)
      queue.serve()
    }
  }

  #end(id: string, how: End): void {
    const now = this.#clock.now()
    for (const [old, { until }] of this.#ended) {
      if (until > now) break
      this.#ended.delete(old)
    }
    if (this.#ended.get(id)?.how === 'done') return
    if (how !== 'dead') {
      this.#ended.delete(id)
      this.#ended.set(id, { how, until: now + flowMemoryMs })
    }
    const waiters = this.#waiters.get(id)
    for (const waiter of waiters ?? []) {
      const { message, queue } = waiter
      if (how === 'dead' && !message.anyEnd) continue
      waiters!.delete(waiter)
      message.waitsFor.delete(id)
      if (how === 'gone' && !message.anyEnd) message.orphan = true
      if (message.waitsFor.size === 0 || message.orphan) {
        this.stopWaiting(message)
        queue.letGo(message)
        this.#touched.add(queue)
      }
    }
    if (waiters?.size === 0) this.#waiters.delete(id)
  }

  #state(id: string): End | 'live' | 'unknown' {
    const end = this.#ended.get(id)
    if (end !== undefined && end.until > this.#clock.now()) return end.how
    if (this.#live.has(id)) return 'live'
    if (this.#dead.has(id)) return 'dead'
    const holder = this.#standIn.get(id)
    return holder === undefined ? 'unknown' : this.#state(holder)
  }
}

function count(counts: Map<string, number>, id: string, by: number): void {
  const sum = (counts.get(id) ?? 0) + by
  if (sum === 0) counts.delete(id)
  else counts.set(id, sum)
}

// Letting go of what is parked: key by key, while nothing else of the key is under way, in order, until nothing of it is parked.
import { SpillwayError } from '../core/errors.ts'
import type { PartitionOfGroup } from '../ports/database.ts'
import type { ParkedEvent } from '../ports/parking.ts'
import type { Assignment, Task } from './assignment.ts'
import type { SubscriptionPlan } from './plan.ts'

const page = 100

export interface UnparkingEvents {
  run(tasks: readonly Task[]): void
  stale(assignment: Assignment): void
}

/**
 * Resolves when everything that was to be let go of is handled, or has failed again and stays parked; false when the partition is no
 * longer ours. Rejects when the database does.
 */
export async function unpark(
  plan: SubscriptionPlan,
  assignment: Assignment,
  key: string | undefined,
  events: UnparkingEvents,
): Promise<boolean> {
  const { parked, partition } = assignment
  const parking = plan.store?.parking
  if (!parked || !parking) return true
  const of = { stream: plan.stream, group: plan.group, partition }
  const drain = new Drain(plan, assignment, of, events)
  const keys = key === undefined ? [...parked.keys] : parked.keys.has(key) ? [key] : []
  const drained = keys.map((each) => drain.key(each))
  if (key === undefined) drained.push(drain.keyless())
  return (await Promise.all(drained)).every((still) => still)
}

class Drain {
  readonly #plan: SubscriptionPlan
  readonly #assignment: Assignment
  readonly #of: PartitionOfGroup
  readonly #events: UnparkingEvents

  constructor(plan: SubscriptionPlan, assignment: Assignment, of: PartitionOfGroup, events: UnparkingEvents) {
    this.#plan = plan
    this.#assignment = assignment
    this.#of = of
    this.#events = events
  }

  /** Holds the lane of the key, so that nothing of it is parked or handled meanwhile. */
  async key(key: string): Promise<boolean> {
    const assignment = this.#assignment
    await new Promise<void>((started) => assignment.hold(key, started))
    try {
      for (;;) {
        const events = await this.#list(-1, key)
        if (assignment.gone) return false
        if (events.length === 0) {
          assignment.parked!.keys.delete(key)
          return true
        }
        for (const event of events) {
          const outcome = await this.#handle(event)
          if (outcome !== 'handled') return outcome === 'failed'
        }
      }
    } finally {
      const next = assignment.gone ? undefined : assignment.release(key)
      if (next) this.#events.run([next])
    }
  }

  /**
   * There is no order to keep; those that fail again stay, and the others go on. An order that comes meanwhile waits: what
   * runs must not run beside itself.
   */
  async keyless(): Promise<boolean> {
    const parked = this.#assignment.parked!
    const before = parked.keyless
    const { promise, resolve } = Promise.withResolvers<void>()
    parked.keyless = promise
    await before
    try {
      return this.#assignment.gone ? false : await this.#allKeyless()
    } finally {
      resolve()
    }
  }

  async #allKeyless(): Promise<boolean> {
    for (let after = -1; ; ) {
      const events = await this.#list(after, null)
      const outcomes = await Promise.all(events.map((event) => this.#handle(event)))
      if (outcomes.includes('gone')) return false
      if (events.length < page) return true
      after = events.at(-1)!.position
    }
  }

  #list(after: number, key: string | null): Promise<ParkedEvent[]> {
    return this.#plan.store!.parking.list(this.#of, { after, key, limit: page })
  }

  async #handle(event: ParkedEvent): Promise<'handled' | 'failed' | 'gone'> {
    const assignment = this.#assignment
    const ended = Promise.withResolvers<'handled' | 'failed'>()
    const record = { partition: this.#of.partition, version: undefined, ...event }
    const task = assignment.parkedTask(record, ended.resolve)
    if (task) this.#events.run([task])
    else ended.resolve(await this.#forget(event))
    const outcome = await Promise.race([ended.promise, assignment.ended.then(() => 'gone' as const)])
    if (outcome === 'handled') assignment.parked!.count -= 1
    return outcome
  }

  /** An event of a type that has no handler any more. */
  async #forget({ position }: ParkedEvent): Promise<'handled'> {
    const progress = this.#assignment.main.progressSoFar()
    const unit = { outbox: [], progress, unpark: position, timeoutMs: 5_000 }
    const outcome = await this.#plan.store!.commit(unit)
    if (outcome !== 'stale') return 'handled'
    this.#events.stale(this.#assignment)
    throw new SpillwayError('LEASE_LOST', `Partition ${this.#of.partition} passed to another member.`)
  }
}

// What a member finds when it takes a partition: how far the group is, in the stream and in its own log, what is parked, and who died.
import type { StreamPort } from '../ports/stream.ts'
import { Assignment, type Parked } from './assignment.ts'
import type { Found, GroupLog } from './group-log.ts'
import { Ledger } from './ledger.ts'
import { noPast, Past } from './past.ts'
import type { SubscriptionPlan } from './plan.ts'
import { startPositions } from './start.ts'

export class Taking {
  readonly #port: StreamPort
  readonly #plan: SubscriptionPlan
  readonly #log: GroupLog
  readonly #member: string

  constructor(port: StreamPort, plan: SubscriptionPlan, log: GroupLog, member: string) {
    this.#port = port
    this.#plan = plan
    this.#log = log
    this.#member = member
  }

  /** Raises the generations where a database keeps them. `past`: what is known already, of a partition that was ours until now. */
  async find(partition: number, committed: number | null, past?: Past): Promise<Assignment> {
    const { store, stream, group } = this.#plan
    const held = await store?.acquire(stream, group, partition)
    const position = (store ? held?.position : committed) ?? (await this.#firstPosition(partition))
    let heldOrders = await store?.acquire(this.#log.name, group, partition)
    const found = await this.#log.lookBack(partition, this.#member)
    if (store && heldOrders && Number(heldOrders.position) > found.end) {
      // The log was restored from an older copy, or made anew: what it will hold there is not done.
      const { generation } = heldOrders
      const to = { stream: this.#log.name, group, partition, generation, low: found.end }
      await store.rewind({ ...to, finished: undefined, sequences: {} }, { ...to, position: found.end })
      heldOrders = await store.acquire(this.#log.name, group, partition)
    }
    const { below, above } = found.done
    const told = heldOrders ?? { finished: above }
    const orders = { stream: this.#log.name, group, partition }
    return new Assignment(
      this.#plan,
      partition,
      new Ledger({ stream, group, partition }, position, held),
      new Ledger(orders, heldOrders?.position ?? below, told),
      past ?? (await this.#pastOf(found, partition)),
      await this.#parkedOf(partition),
    )
  }

  async #pastOf(found: Found, partition: number): Promise<Past> {
    if (found.deaths === 0) return noPast
    const bounds = await this.#port.bounds(this.#plan.stream)
    const stream = bounds.find((of) => of.partition === partition)?.next ?? 0
    return new Past(found, { stream, group: await this.#log.end() })
  }

  /** What is parked since before; asked once the generation was raised, so that nothing is added behind our back. */
  async #parkedOf(partition: number): Promise<Parked | undefined> {
    const { store, stream, group } = this.#plan
    const summary = await store?.parking.summary({ stream, group, partition })
    return summary && { count: summary.count, keys: new Set(summary.keys) }
  }

  async #firstPosition(partition: number): Promise<number> {
    const bounds = await this.#port.bounds(this.#plan.stream)
    const starts = await startPositions(this.#port, this.#plan.stream, this.#plan.from ?? 'earliest', bounds)
    return starts.find((start) => start.partition === partition)?.position ?? 0
  }
}

// The pointer events that a service handles: one fetcher for all that are fetched by the same call, so that a key is fetched once for all handlers.
import type { Clock } from '../core/clock.ts'
import type { PointerContract } from '../core/contract.ts'
import type { Message } from '../core/message.ts'
import type { Current, PointerData } from '../core/pointer-contract.ts'
import type { OnReport } from '../core/report.ts'
import type { EventDelivery } from '../stream/event-delivery.ts'
import type { Handled } from '../stream/plan.ts'
import type { Preparation } from '../stream/preparation.ts'
import { Fetcher } from './fetcher.ts'
import type { Owner } from './owner.ts'

export interface PointersOptions {
  /** The context that fetches. */
  readonly context: string
  readonly clock: Clock
  readonly onReport: OnReport
  readonly ownerOf: (context: string) => Owner
}

type Payload = Current<unknown, unknown>

export class Pointers {
  readonly #options: PointersOptions
  readonly #fetchers = new Map<string, Fetcher>()

  constructor(options: PointersOptions) {
    this.#options = options
  }

  preparationOf(contract: PointerContract, coalesce = false): Preparation {
    const { pointer } = contract
    const fetcher = this.#fetcherOf(contract)
    const versionOf = (message: Message) => (message.data as PointerData<string>).version
    return {
      async prepare(message, signal) {
        const key = (message.data as PointerData<string>)[pointer.key] as unknown as string
        const version = versionOf(message)
        const happened = Date.parse(message.time)
        const happenedAt = Number.isNaN(happened) ? undefined : happened
        const current = await fetcher.fetch({ key, version, happenedAt }, signal)
        return { value: current, version: current.state === 'found' ? current.version : version }
      },
      ...(coalesce ? { versionOf } : {}),
    }
  }

  /** Ends everything that waits. */
  close(): void {
    for (const fetcher of this.#fetchers.values()) fetcher.close()
  }

  #fetcherOf({ pointer }: PointerContract): Fetcher {
    const { call, key, version, gone } = pointer
    const name = JSON.stringify([call.type, call.version, key, version, gone])
    const known = this.#fetchers.get(name)
    if (known) return known
    const { context, clock, onReport, ownerOf } = this.#options
    const from = `the pointer events of ${context} from ${call.context}`
    const report = (error: Parameters<OnReport>[0]['error']) => onReport({ from, error })
    const fetcher = new Fetcher({ pointer, owner: ownerOf(call.context), clock, report })
    this.#fetchers.set(name, fetcher)
    return fetcher
  }
}

/** Gives the handler of a pointer event what was fetched for it, as `current` of its event. */
export function withCurrent(
  handler: (message: Message<never>, delivery: EventDelivery) => unknown,
): Handled['handler'] {
  return (message, delivery, prepared) =>
    handler({ ...message, current: prepared as Payload } as unknown as Message<never>, delivery)
}

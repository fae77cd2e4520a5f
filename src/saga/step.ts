// What a step of a saga is given, and what it gathers for its commit.
import { type Clock, systemClock } from '../core/clock.ts'
import type { EventContract, QueueContract } from '../core/contract.ts'
import type { Duration } from '../core/duration.ts'
import { SpillwayError } from '../core/errors.ts'
import { newId } from '../core/id.ts'
import type { Message } from '../core/message.ts'
import type { SendOptions } from '../queue/outgoing.ts'
import type { GatheringSender, Kept, OutgoingOptions, Sender } from '../transaction/sender.ts'
import { type Compensation, redated, type Stored } from './stored-state.ts'

/** A step returned `step.end()`. */
export class Ended {
  readonly ended = true
}

/**
 * One step of one instance. It does its outside I/O first, as any handler; what it sends, the timeouts and the compensations are gathered, and stored with the next
 * state in one transaction. When another step of the instance was committed meanwhile, nothing of this one was: it runs again, on the new state.
 */
export interface Step extends Sender {
  /** The id of the instance. */
  readonly id: string
  /** The event, or the timeout, that the step is about. */
  readonly message: Message
  readonly signal: AbortSignal
  /**
   * Calls `onTimeout(name)` in so long, unless the instance ends, or the timeout is cancelled or set anew, by then. It is counted from now, and
   * comes once in effect.
   */
  timeout(name: string, after: Duration): void
  cancelTimeout(name: string): void
  /** Remembers how to undo what this step does: a message that `undo` will send. It is validated now. */
  compensate<In>(name: string, queue: QueueContract<In, unknown>, data: In): void
  /** What was remembered under this name need not be undone any more. */
  forget(name: string): void
  /** Sends what was remembered and not forgotten, the last first, and forgets it. */
  undo(): void
  /** To be returned: the instance ends, with its timeouts. What was remembered and not undone is dropped. */
  end(): Ended
}

/** What a timeout says when it comes. */
export interface TimeoutData {
  readonly id: string
  readonly timeout: string
  /** Which of the times that it was set: a later one has another. */
  readonly token: string
}

/** A compensation whose validator may still be at work. */
interface Remembered {
  readonly name: string
  readonly queue: string
  readonly sealed: Kept | Promise<Kept>
}

export class GatheringStep implements Step {
  readonly id: string
  readonly message: Message
  readonly #clock: Clock
  readonly #sender: GatheringSender
  readonly #delivery: { readonly signal: AbortSignal }
  readonly #queue: QueueContract<TimeoutData, TimeoutData> | undefined
  readonly #known: ReadonlySet<string>
  readonly #timeouts: Map<string, string>
  #compensations: Remembered[]

  constructor(
    instance: { readonly id: string; readonly stored: Stored | undefined },
    message: Message,
    delivery: { readonly signal: AbortSignal },
    home: { readonly clock?: Clock },
    sender: GatheringSender,
    timeouts: {
      readonly queue: QueueContract<TimeoutData, TimeoutData> | undefined
      readonly known: ReadonlySet<string>
    },
  ) {
    this.id = instance.id
    this.message = message
    this.#clock = home.clock ?? systemClock
    this.#sender = sender
    this.#delivery = delivery
    this.#queue = timeouts.queue
    this.#known = timeouts.known
    this.#timeouts = new Map(Object.entries(instance.stored?.timeouts ?? {}))
    this.#compensations = (instance.stored?.compensations ?? []).map(({ name, queue, ...sealed }) => ({
      name,
      queue,
      sealed: { key: undefined, ...sealed },
    }))
  }

  get signal(): AbortSignal {
    return this.#delivery.signal
  }

  publish<In>(event: EventContract<In, unknown>, data: In, options?: OutgoingOptions): void {
    this.#sender.publish(event, data, options)
  }

  send<In>(queue: QueueContract<In, unknown>, data: In, options?: SendOptions): string {
    return this.#sender.send(queue, data, options)
  }

  timeout(name: string, after: Duration): void {
    if (!this.#queue || !this.#known.has(name))
      throw new SpillwayError('INVALID_OPTION', `The saga has no onTimeout('${name}').`)
    const token = newId(this.#clock)
    this.#sender.send(this.#queue, { id: this.id, timeout: name, token }, { delay: after, id: token })
    this.#timeouts.set(name, token)
  }

  cancelTimeout(name: string): void {
    this.#timeouts.delete(name)
  }

  compensate<In>(name: string, queue: QueueContract<In, unknown>, data: In): void {
    const sealed = this.#sender.sealed(queue, data)
    // Whoever asks for it hears of it.
    if (sealed instanceof Promise) sealed.catch(() => {})
    this.#compensations.push({ name, queue: queue.queue, sealed })
  }

  forget(name: string): void {
    this.#compensations = this.#compensations.filter((each) => each.name !== name)
  }

  undo(): void {
    const now = this.#clock.now()
    const dated = (kept: Kept): Kept => ({ ...kept, body: redated(kept.body, now) })
    for (const { queue, sealed } of this.#compensations.reverse())
      this.#sender.resend(
        { kind: 'queue', name: queue },
        sealed instanceof Promise ? sealed.then(dated) : dated(sealed),
      )
    this.#compensations = []
  }

  end(): Ended {
    return new Ended()
  }

  /** What is to be stored beside the next state; waits for validators. */
  async rest(): Promise<Omit<Stored, 'state'>> {
    const compensations = this.#compensations.map(async ({ name, queue, sealed }): Promise<Compensation> => {
      const { id, key, body } = await sealed
      return { name, queue, id, ...(key === undefined ? {} : { key }), body }
    })
    return {
      timeouts: Object.fromEntries(this.#timeouts),
      compensations: await Promise.all(compensations),
    }
  }
}

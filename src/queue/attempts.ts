// What is being handled: how each attempt begins, and what its end means for the message.
import { backoff, type RetryPolicy } from '../core/backoff.ts'
import type { Clock } from '../core/clock.ts'
import type { QueueContract } from '../core/contract.ts'
import { type Opened, unseal } from '../core/envelope.ts'
import { asError, SpillwayError } from '../core/errors.ts'
import type { Message } from '../core/message.ts'
import { outcomeOf, reasonText } from '../core/outcome.ts'
import type { OnSettled, Settled } from '../core/settled.ts'
import type { ClaimedMessage } from '../ports/queue.ts'
import { BatchDelivery, type BatchHandler, outcomesOf } from './batch.ts'
import { Delivery, type Held, type Place } from './delivery.ts'
import type { Settler } from './settler.ts'

/**
 * Handles one message. Returning means done; `return retry()` and `return deadLetter(reason)` say otherwise; throwing
 * means retry by the policy. It should pass `signal` on: it fires at the deadline, when the lease is lost, when the message is
 * cancelled, and at the end of a graceful stop.
 */
export type Handler<Out> = (message: Message<Out>, delivery: Delivery) => unknown

export type Handling<Out> =
  | { readonly one: Handler<Out>; readonly batch?: undefined }
  | { readonly one?: undefined; readonly batch: BatchHandler<Out> }

export interface AttemptSettings {
  /** Why nobody can be told of the progress of a handler; undefined where it can. */
  readonly noProgress?: (() => SpillwayError) | undefined
  readonly deadlineMs: number
  readonly retry: RetryPolicy
}

/** Reasons are for people, and kept with every attempt. */
const longestReason = 500

export class Attempts<Out> {
  readonly running: Set<Delivery> = new Set()
  readonly #contract: QueueContract<unknown, Out>
  readonly #handling: Handling<Out>
  readonly #settings: AttemptSettings
  readonly #clock: Clock
  readonly #settler: Pick<Settler, 'add'>
  readonly #report: (error: SpillwayError, messageId?: string) => void
  readonly #onFree: (tookMs: number) => void
  readonly #onSettled: OnSettled | undefined
  /** What handlers were given; only while somebody wants to hear of it. */
  readonly #given: WeakMap<Delivery, Message<Out>> | undefined
  #places = 0
  /** Holds the process while a handler runs: what that waits for may hold nothing, not even its own deadline does. */
  #alive: NodeJS.Timeout | undefined
  /** From now on an attempt that ends because it was aborted is given back. */
  stopping = false

  constructor(
    contract: QueueContract<unknown, Out>,
    handling: Handling<Out>,
    settings: AttemptSettings,
    clock: Clock,
    settler: Pick<Settler, 'add'>,
    report: (error: SpillwayError, messageId?: string) => void,
    onFree: (tookMs: number) => void,
    onSettled?: OnSettled,
  ) {
    this.#contract = contract
    this.#handling = handling
    this.#settings = settings
    this.#clock = clock
    this.#settler = settler
    this.#report = report
    this.#onFree = onFree
    this.#onSettled = onSettled
    this.#given = onSettled && new WeakMap()
  }

  /** How many handlers run. */
  get places(): number {
    return this.#places
  }

  /** True, and it is a dead letter, when a message was started more often than it may be, or waited in vain. */
  buried({ starts, lease, orphan }: ClaimedMessage): boolean {
    if (starts <= this.#settings.retry.attempts && !orphan) return false
    const reason = orphan
      ? 'a message that it was to wait for was cancelled or purged'
      : `it was started ${starts - 1} times and never settled: its handler may have ended the process, or outlived its lease`
    const told =
      this.#onSettled && (() => this.#tell({ outcome: 'dead-lettered', reason, attempt: starts - 1 }))
    this.#settler.add({ lease, kind: 'dead-letter', reason }, told)
    return true
  }

  /** One message; where batches are handled, a batch of one. */
  begin(held: Held): Delivery {
    const { one } = this.#handling
    if (!one) return this.beginBatch([held])[0]!
    const delivery = this.#deliver(held, this.#place(1))
    const opened = this.#open(held.message)
    if (opened instanceof Promise) void opened.then((message) => this.#handle(delivery, message, one))
    else void this.#handle(delivery, opened, one)
    return delivery
  }

  beginBatch(held: readonly Held[]): readonly Delivery[] {
    const place = this.#place(held.length)
    const deliveries = held.map((each) => this.#deliver(each, place))
    void this.#handleBatch(
      deliveries,
      held.map(({ message }) => this.#open(message)),
    )
    return deliveries
  }

  #place(left: number): Place {
    this.#places += 1
    if (this.#places === 1) this.#alive = this.#alive?.ref() ?? setInterval(() => {}, 2 ** 31 - 1)
    return { left, startedAt: this.#clock.elapsed() }
  }

  #deliver(held: Held, place: Place): Delivery {
    const { deadlineMs, noProgress } = this.#settings
    const delivery = new Delivery(held, place, place.startedAt + deadlineMs, noProgress)
    this.running.add(delivery)
    return delivery
  }

  #open({ body }: ClaimedMessage): Opened<Out> | Promise<Opened<Out>> {
    const opened = unseal(this.#contract, body)
    return opened instanceof Promise ? opened.then((each) => this.#inTime(each)) : this.#inTime(opened)
  }

  #inTime(opened: Opened<Out>): Opened<Out> {
    if (opened instanceof SpillwayError || opened.expirytime === undefined) return opened
    if (!(Date.parse(opened.expirytime) <= this.#clock.now())) return opened
    const what = `Message ${opened.id} of ${this.#contract.queue} was to be begun before ${opened.expirytime}.`
    return new SpillwayError('EXPIRED', what)
  }

  async #handle(delivery: Delivery, opened: Opened<Out>, handler: Handler<Out>): Promise<void> {
    if (opened instanceof SpillwayError) return this.#refuse(delivery, opened)
    this.#given?.set(delivery, opened)
    let result: unknown
    try {
      result = await handler(opened, delivery)
    } catch (thrown) {
      this.#failed(delivery, thrown)
      return
    }
    this.#conclude(delivery, result)
  }

  async #handleBatch(
    all: readonly Delivery[],
    opening: readonly (Opened<Out> | Promise<Opened<Out>>)[],
  ): Promise<void> {
    const messages: Message<Out>[] = []
    const deliveries: Delivery[] = []
    for (const [index, opened] of (await Promise.all(opening)).entries()) {
      const delivery = all[index]!
      if (opened instanceof SpillwayError) this.#refuse(delivery, opened)
      else {
        this.#given?.set(delivery, opened)
        messages.push(opened)
        deliveries.push(delivery)
      }
    }
    if (messages.length === 0) return
    let outcomes: readonly unknown[] | SpillwayError
    try {
      const result = await this.#handling.batch!(messages, new BatchDelivery(deliveries))
      outcomes = outcomesOf(result, messages.length)
    } catch (thrown) {
      for (const delivery of deliveries) this.#failed(delivery, thrown)
      return
    }
    for (const [index, delivery] of deliveries.entries())
      if (outcomes instanceof SpillwayError) this.#failed(delivery, outcomes)
      else this.#conclude(delivery, outcomes[index])
  }

  /** A message that no handler can be given. */
  #refuse(delivery: Delivery, why: SpillwayError): void {
    this.#report(why, delivery.id)
    this.#end(delivery, { kind: 'dead-letter', reason: reasonText(why.message) })
  }

  #conclude(delivery: Delivery, result: unknown): void {
    const said = outcomeOf(result)
    if (!said) this.#end(delivery, { kind: 'done' })
    else if (said.outcome === 'dead-letter') this.#end(delivery, { kind: 'dead-letter', reason: said.reason })
    else this.#retry(delivery, said.reason ?? 'the handler asked for a retry', said.delayMs)
  }

  #failed(delivery: Delivery, thrown: unknown): void {
    if (delivery.ended) return
    if (delivery.aborted && (delivery.cancelled || this.stopping)) {
      this.#end(delivery, { kind: 'release' })
      return
    }
    const error = asError(thrown)
    const what = `Handling message ${delivery.id} of ${this.#contract.queue} failed at attempt ${delivery.attempt}: ${error.message}.`
    this.#report(new SpillwayError('HANDLER_FAILED', what, { cause: thrown }), delivery.id)
    this.#retry(delivery, error.message)
  }

  #retry(delivery: Delivery, why: string, delayMs?: number): void {
    const { retry } = this.#settings
    const { attempt } = delivery
    if (attempt >= retry.attempts) {
      const reason = reasonText(`attempt ${attempt} of ${retry.attempts}: ${why}`)
      this.#end(delivery, { kind: 'dead-letter', reason })
      return
    }
    const reason = reasonText(why).slice(0, longestReason).toWellFormed()
    this.#end(delivery, { kind: 'retry', delayMs: delayMs ?? backoff(retry, attempt), reason })
  }

  timeOut(delivery: Delivery): void {
    const what = `Message ${delivery.id} of ${this.#contract.queue} was not handled within ${this.#settings.deadlineMs} ms.`
    const error = new SpillwayError('HANDLER_TIMEOUT', what)
    delivery.abort(error)
    this.#report(error, delivery.id)
    this.#retry(delivery, error.message)
  }

  /** The lease passed to another, or nobody can say that it did not. */
  lose(delivery: Delivery): void {
    if (delivery.ended) return
    const what = `The lease of message ${delivery.id} of ${this.#contract.queue} was lost while it was handled.`
    const error = new SpillwayError('LEASE_LOST', what)
    delivery.abort(error)
    this.#free(delivery)
    this.#report(error, delivery.id)
  }

  /** Tells the handler, and leaves it its place until it ends: what it is doing then takes as much as before. */
  cancel(delivery: Delivery): void {
    if (delivery.ended || delivery.cancelled) return
    delivery.cancelled = true
    const what = `Message ${delivery.id} of ${this.#contract.queue} was cancelled.`
    delivery.abort(new SpillwayError('CANCELLED', what))
  }

  /** Nothing is begun any more, and all has ended. */
  close(): void {
    clearInterval(this.#alive)
  }

  abortAll(reason: SpillwayError): void {
    for (const delivery of this.running) delivery.abort(reason)
  }

  /** Gives back what does not end. */
  releaseAll(): void {
    for (const delivery of this.running) this.#end(delivery, { kind: 'release' })
  }

  #end(delivery: Delivery, ending: Ending): void {
    if (!this.#free(delivery)) return
    const { lease } = delivery
    const told = this.#onSettled && (() => this.#tellEnd(delivery, ending))
    // What was cancelled is gone, whatever its handler said.
    this.#settler.add(delivery.cancelled ? { lease, kind: 'done' } : { lease, ...ending }, told)
  }

  #tellEnd(delivery: Delivery, ending: Ending): void {
    const outcome = delivery.cancelled ? 'cancelled' : outcomes[ending.kind]
    if (!outcome) return
    const why = outcome !== 'cancelled' && 'reason' in ending ? { reason: ending.reason } : {}
    this.#tell({ outcome, ...why, attempt: delivery.attempt, message: this.#given?.get(delivery) })
  }

  #tell(
    end: Pick<Settled, 'outcome' | 'reason' | 'attempt'> & { readonly message?: Message | undefined },
  ): void {
    const { type, context, queue } = this.#contract
    this.#onSettled?.({ type, by: context ?? queue, message: undefined, ...end })
  }

  /** Ends an attempt; false when it was ended before. */
  #free(delivery: Delivery): boolean {
    if (delivery.ended) return false
    this.running.delete(delivery)
    const { place } = delivery
    place.left -= 1
    if (place.left === 0) this.#places -= 1
    if (this.#places === 0) this.#alive?.unref()
    delivery.end()
    if (place.left === 0) this.#onFree(this.#clock.elapsed() - place.startedAt)
    return true
  }
}

type Ending =
  | { readonly kind: 'done' | 'release' }
  | { readonly kind: 'retry'; readonly delayMs: number; readonly reason: string }
  | { readonly kind: 'dead-letter'; readonly reason: string }

const outcomes: Readonly<Record<Ending['kind'], Settled['outcome'] | undefined>> = {
  done: 'done',
  retry: 'retried',
  'dead-letter': 'dead-lettered',
  release: undefined,
}

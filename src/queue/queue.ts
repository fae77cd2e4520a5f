// The queue as its user sees it: messages are sent, kept safe, and handled by one consumer each.

import { type Clock, systemClock } from '../core/clock.ts'
import type { QueueContract } from '../core/contract.ts'
import { describe, SpillwayError } from '../core/errors.ts'
import { refuseInside } from '../core/scope.ts'
import type { DeadMessage, OutgoingMessage, QueueCount, QueuePort } from '../ports/queue.ts'
import type { CancelResult } from '../ports/queue-control.ts'
import type { Handler } from './attempts.ts'
import type { BatchHandler } from './batch.ts'
import { type BatchOptions, type ConsumeOptions, type Consumer, consume, consumeBatch } from './consumer.ts'
import { type RedriveFilter, redriveAll } from './dead-letters.ts'
import { type FinishedMessage, openFinished } from './finished-messages.ts'
import { outgoing, type SendOptions } from './outgoing.ts'
import { checkDelay } from './rules.ts'
import type { Schedule } from './schedule-spec.ts'
import { declareSchedule, type ScheduleOptions, schedulesOf } from './schedules.ts'
import { opened, type WaitingMessage } from './waiting-message.ts'

/** A queue on one engine. Make it with `spillway.queue(…)`. */
export class Queue<In = unknown, Out = unknown> {
  readonly contract: QueueContract<In, Out>
  readonly #port: QueuePort
  readonly #engine: string
  readonly #clock: Clock

  constructor(contract: QueueContract<In, Out>, port: QueuePort, engine: string, clock: Clock = systemClock) {
    this.contract = contract
    this.#port = port
    this.#engine = engine
    this.#clock = clock
  }

  get name(): string {
    return this.contract.queue
  }

  /**
   * Sends one message and resolves with its id once it is durable; for a duplicate (`dedup`) with the id of the message that is
   * there already. Concurrent calls share their writes.
   * Rejects with INVALID_DATA (nothing stored), TOO_LARGE, ENGINE_UNAVAILABLE; inside a handler with DIRECT_SEND.
   */
  async send(data: In, options: SendOptions = {}): Promise<string> {
    refuseInside(`send() on the queue ${this.name}`)
    const message = await this.#outgoing(data, options)
    const [duplicate] = await this.#port.send(this.name, [message])
    return duplicate?.id ?? message.id
  }

  /**
   * Sends many messages in one write, in order; resolves with an id for each, as `send` does. Every one is validated before
   * any is stored. Options are for all, or a function that gives those of each.
   */
  async sendMany(
    items: readonly In[],
    options: Omit<SendOptions, 'id'> | ((data: In, index: number) => SendOptions) = {},
  ): Promise<string[]> {
    refuseInside(`sendMany() on the queue ${this.name}`)
    if (!Array.isArray(items))
      throw new SpillwayError(
        'INVALID_OPTION',
        `sendMany() takes a list of data, and was given ${describe(items)}.`,
      )
    const messages: OutgoingMessage[] = []
    for (const [index, data] of items.entries()) {
      const sealed = this.#outgoing(data, typeof options === 'function' ? options(data, index) : options)
      messages.push(sealed instanceof Promise ? await sealed : sealed)
    }
    const ids = messages.map((message) => message.id)
    if (messages.length > 0)
      for (const { index, id } of await this.#port.send(this.name, messages)) ids[index] = id
    return ids
  }

  /** Handles messages until it is stopped. Several consumers, here or in other processes, share the work. */
  consume(handler: Handler<Out>, options: ConsumeOptions = {}): Consumer {
    return consume(this.contract, this.#port, handler, this.#consuming(options))
  }

  /** The same in batches: the handler gets up to `size` messages, and says what becomes of each. */
  consumeBatch(handler: BatchHandler<Out>, options: BatchOptions = {}): Consumer {
    return consumeBatch(this.contract, this.#port, handler, this.#consuming(options))
  }

  /**
   * Sends `data` again and again: by a cron pattern in a time zone, or every so often; once for each due time, however many processes
   * there are. The consumers of the queue fire it. The message says for when it was sent (`scheduledfor`). Call it at every
   * start: what is stored already stays as it is, and what is different takes its place. It goes on until `unschedule`,
   * also when no program mentions it any more. INVALID_OPTION for a pattern, zone or date that cannot be; else as `send`. Needs `schedules`.
   */
  schedule(name: string, options: ScheduleOptions, data: In): Promise<Schedule> {
    return declareSchedule(this.contract, this.#port, this.#engine, name, options, data)
  }

  /** Resolves with whether there was such a schedule. What it has sent stays. */
  unschedule(name: string): Promise<boolean> {
    return this.#port.removeSchedule(this.name, name)
  }

  /** The schedules of the queue by name, also those of other programs. */
  schedules(): Promise<Schedule[]> {
    return schedulesOf(this.#port, this.name)
  }

  count(): Promise<QueueCount> {
    return this.#port.count(this.name)
  }

  /** From now on nothing is handled any more, in any process, until `resume`; what is under way ends. Needs `pause`. */
  pause(): Promise<void> {
    return this.#port.pause(this.name)
  }

  resume(): Promise<void> {
    return this.#port.resume(this.name)
  }

  /** Messages that wait or are handled just now, roughly the oldest first: at most `limit` (default 100) after the handle `after`, fewer when they are large. Needs `peek`. */
  async peek(
    options: { readonly limit?: number; readonly after?: string } = {},
  ): Promise<WaitingMessage<Out>[]> {
    const peeked = await this.#port.peek(this.name, { limit: 100, ...options })
    return Promise.all(peeked.map((message) => opened(this.contract, message)))
  }

  /**
   * Cancels a message by its id: `removed` when it waited, `signalled` when it is being handled: then the signal of its handler fires
   * within about two seconds, and it is gone when the handler ends, however that ends. Needs `cancel`.
   */
  async cancel(id: string): Promise<CancelResult> {
    const [result] = await this.#port.cancel(this.name, [id])
    return result!
  }

  /** The same for many at once, one result for each. */
  cancelMany(ids: readonly string[]): Promise<CancelResult[]> {
    return this.#port.cancel(this.name, ids)
  }

  /** Removes all messages that wait, or all dead letters; resolves with how many there were. Needs `purge`. */
  purge(what: 'waiting' | 'dead'): Promise<number> {
    return this.#port.purge(this.name, what)
  }

  /**
   * What was done, the newest first: at most `limit` (default 100) after the handle `after`, that is, older ones. Only of a queue whose contract
   * has `keepFinished`. Needs `finished`.
   */
  async finished(
    options: { readonly limit?: number; readonly after?: string } = {},
  ): Promise<FinishedMessage<Out>[]> {
    const stored = await this.#port.finished(this.name, { limit: 100, ...options })
    return Promise.all(stored.map((message) => openFinished(this.contract, message)))
  }

  /** The dead letters, oldest first: at most `limit` (default 100) after the handle `after`, fewer when they are large. */
  deadLetters(options: { readonly limit?: number; readonly after?: string } = {}): Promise<DeadMessage[]> {
    return this.#port.deadLetters(this.name, { limit: 100, ...options })
  }

  /** Puts one dead letter back, or several, by handle, with their ids and no attempts; resolves with how many there were. */
  redrive(handles: string | readonly string[]): Promise<number> {
    return this.#port.redrive(this.name, typeof handles === 'string' ? [handles] : handles)
  }

  /**
   * Puts back all dead letters that there are when it is called, or those that the filter chooses; resolves with how many. Page by
   * page: when it rejects, some may be back.
   */
  redriveAll(filter: RedriveFilter = {}): Promise<number> {
    return redriveAll(this.#port, this.name, filter)
  }

  #consuming<Options extends ConsumeOptions>(options: Options): Options {
    return { clock: this.#clock, engine: this.#engine, ...options }
  }

  #outgoing(data: In, options: SendOptions): OutgoingMessage | Promise<OutgoingMessage> {
    checkDelay(this.#engine, this.#port.capabilities, options)
    const origin = { source: `/${this.contract.context ?? ''}` }
    return outgoing(this.contract, data, options, origin, this.#clock)
  }
}

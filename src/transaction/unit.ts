// What one handler, or one transaction(), does as a whole: it gathers what is sent, and commits it once with the effects.
import { type Clock, systemClock } from '../core/clock.ts'
import type { Contract, EventContract, QueueContract } from '../core/contract.ts'
import { type Attributes, type Sealed, seal } from '../core/envelope.ts'
import { SpillwayError } from '../core/errors.ts'
import type { Message } from '../core/message.ts'
import type { OnReport } from '../core/report.ts'
import type { CommitOutcome, CommitUnit, Database, Destination, OutboxMessage } from '../ports/database.ts'

export interface OutgoingOptions {
  /** Names the message for ever. Default: a new id. */
  readonly id?: string
}

/** Gathers messages. Nothing leaves before the commit; data is validated at once. */
export interface Sender {
  /** Publishes an event of one's own context. Throws INVALID_DATA, UNKNOWN_EVENT for an event of another context, COMMIT_TWICE after the commit. */
  publish<In>(event: EventContract<In, unknown>, data: In, options?: OutgoingOptions): void
  /** Sends to a queue of any context. Throws INVALID_DATA, COMMIT_TWICE after the commit. */
  send<In>(queue: QueueContract<In, unknown>, data: In, options?: OutgoingOptions): void
}

/** The inside of the one short transaction. */
export interface Tx<Db> extends Sender {
  /** The service's own database, inside the transaction. */
  readonly db: Db
}

/** Where a unit commits to. Without a database the messages are delivered directly, before the message in hand is settled. */
export interface UnitHome<Db> {
  readonly context: string
  readonly database: Database<Db> | undefined
  readonly deliver: (messages: readonly OutboxMessage[]) => Promise<void>
  /** Called after a commit that left messages in the outbox: the relay need not wait for its poll. */
  readonly wake?: () => void
  readonly onReport?: OnReport
  readonly timeoutMs: number
  readonly clock?: Clock
}

/** What makes the commit of a handler the commit of this message and no other. */
export interface UnitMark {
  readonly inbox?: CommitUnit<unknown>['inbox']
  readonly progress?: CommitUnit<unknown>['progress']
}

export class Unit<Db> implements Sender {
  readonly #home: UnitHome<Db>
  readonly #cause: Message | undefined
  readonly #mark: () => UnitMark
  readonly #outbox: OutboxMessage[] = []
  /** Validations that are still under way; only of asynchronous validators. */
  #validating: Promise<void>[] = []
  #state: 'open' | 'inside' | 'ended' = 'open'
  #outcome: CommitOutcome | undefined

  /** `mark` is asked at the moment of the commit; it throws when the unit may no longer commit. */
  constructor(home: UnitHome<Db>, cause?: Message, mark: () => UnitMark = () => ({})) {
    this.#home = home
    this.#cause = cause
    this.#mark = mark
  }

  get committed(): boolean {
    return this.#outcome !== undefined
  }

  publish<In>(event: EventContract<In, unknown>, data: In, options: OutgoingOptions = {}): void {
    if (event.stream !== this.#home.context)
      throw new SpillwayError(
        'UNKNOWN_EVENT',
        `The context ${this.#home.context} cannot publish ${event.type}.`,
      )
    this.#add({ kind: 'stream', name: event.stream }, event, data, options, event.keyOf?.(data))
  }

  send<In>(queue: QueueContract<In, unknown>, data: In, options: OutgoingOptions = {}): void {
    this.#add({ kind: 'queue', name: queue.queue }, queue, data, options, undefined)
  }

  /** The one commit. Resolves once everything is durable; on a failure nothing is, and the unit is as it was. */
  async commit(work?: (tx: Tx<Db>) => unknown): Promise<CommitOutcome> {
    if (this.#state !== 'open')
      throw new SpillwayError(
        'COMMIT_TWICE',
        `commit() was called a second time in the context ${this.#home.context}.`,
      )
    this.#state = 'inside'
    const before = this.#outbox.length
    try {
      await this.#validated()
      this.#outcome = await this.#commit(work)
      this.#state = 'ended'
      return this.#outcome
    } catch (thrown) {
      this.#outbox.length = before
      this.#validating = []
      this.#state = 'open'
      throw thrown
    }
  }

  async #commit(work: ((tx: Tx<Db>) => unknown) | undefined): Promise<CommitOutcome> {
    const { database, deliver, timeoutMs, context } = this.#home
    const mark = this.#mark()
    if (database) {
      const effects = work && ((db: Db) => this.#runWork(work, () => db))
      const outcome = await database.commit({ effects, outbox: this.#outbox, timeoutMs, ...mark })
      if (outcome === 'committed' && this.#outbox.length > 0) this.#home.wake?.()
      return outcome
    }
    if (work) {
      const absent = (): Db => {
        throw new SpillwayError('NO_DATABASE', `The service of ${context} asked for its database.`)
      }
      await this.#runWork(work, absent)
    }
    await deliver(this.#outbox)
    return 'committed'
  }

  #runWork(work: (tx: Tx<Db>) => unknown, handle: () => Db): unknown {
    const tx: Tx<Db> = {
      get db() {
        return handle()
      },
      publish: (event, data, options) => this.publish(event, data, options),
      send: (queue, data, options) => this.send(queue, data, options),
    }
    const result = work(tx)
    if (result instanceof Promise) return result.then(() => this.#validated())
    if (this.#validating.length > 0)
      throw new SpillwayError(
        'COMMIT_ASYNC',
        `A message sent inside commit() of ${this.#home.context} has an asynchronous validator; send it before commit().`,
      )
    return undefined
  }

  #add<In>(
    destination: Destination,
    contract: Contract<In, unknown>,
    data: In,
    options: OutgoingOptions,
    key: string | undefined,
  ): void {
    if (this.#state === 'ended')
      throw new SpillwayError('COMMIT_TWICE', `A message was sent to ${contract.type} after the commit.`)
    const cause = this.#cause
    const attributes: Attributes = {
      source: `/${this.#home.context}`,
      ...options,
      ...(key === undefined ? {} : { key }),
      ...(cause === undefined
        ? {}
        : { causationId: cause.id, correlationId: cause.correlationid ?? cause.id }),
      ...(cause?.traceparent === undefined ? {} : { traceparent: cause.traceparent }),
      ...(cause?.tracestate === undefined ? {} : { tracestate: cause.tracestate }),
    }
    const place = ({ id, body }: Sealed) => this.#outbox.push({ destination, id, key, body })
    const sealed = seal(contract, data, attributes, this.#home.clock ?? systemClock)
    if (sealed instanceof Promise) {
      const done = sealed.then((message) => void place(message))
      done.catch(() => {})
      this.#validating.push(done)
    } else place(sealed)
  }

  async #validated(): Promise<void> {
    while (this.#validating.length > 0) await Promise.all(this.#validating.splice(0))
  }
}

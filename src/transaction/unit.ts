// What one handler, or one transaction(), does as a whole: it gathers what is sent, and commits it once with the effects.
import { SpillwayError } from '../core/errors.ts'
import type { OnReport } from '../core/report.ts'
import { isThenable, onceAwaited } from '../core/thenable.ts'
import type { CallPort } from '../ports/call.ts'
import type { CommitOutcome, CommitUnit, Database, Destination, OutboxMessage } from '../ports/database.ts'
import type { CancelResult } from '../ports/queue-control.ts'
import { type Cause, GatheringSender, type Origin, type Sender } from './sender.ts'

export type { OutgoingOptions, Sender } from './sender.ts'

/** The inside of the one short transaction. */
export interface Tx<Db> extends Sender {
  /** The service's own database, inside the transaction. */
  readonly db: Db
}

/** Where a unit commits to. Without a database the messages are delivered directly, before the message in hand is settled. */
export interface UnitHome<Db> extends Origin {
  readonly database: Database<Db> | undefined
  readonly deliver: (messages: readonly OutboxMessage[]) => Promise<void>
  readonly cancel: (queue: string, id: string) => Promise<CancelResult>
  /** How other contexts are called; without it none is. */
  readonly calls?: CallPort | undefined
  /** Called after a commit that left messages in the outbox: the relay need not wait for its poll. */
  readonly wake?: (to: readonly Destination[]) => void
  readonly onReport?: OnReport
  readonly timeoutMs: number
  /** For how long the inbox remembers: see age-gate.ts. */
  readonly keepMs?: number
}

/** What makes the commit of a handler the commit of this message and no other. */
export interface UnitMark {
  readonly inbox?: CommitUnit<unknown>['inbox']
  readonly progress?: CommitUnit<unknown>['progress']
  readonly unpark?: CommitUnit<unknown>['unpark']
  readonly saga?: CommitUnit<unknown>['saga']
}

export class Unit<Db> {
  /** What is sent outside the work of the commit. */
  readonly sender: GatheringSender
  readonly #home: UnitHome<Db>
  readonly #cause: Cause | undefined
  readonly #mark: () => UnitMark
  #committing: Promise<CommitOutcome> | undefined
  #outcome: CommitOutcome | undefined
  #result: unknown

  /** `mark` is asked at the moment of the commit; it throws when the unit may no longer commit. */
  constructor(home: UnitHome<Db>, cause?: Cause, mark: () => UnitMark = () => ({})) {
    this.sender = new GatheringSender(home, cause)
    this.#home = home
    this.#cause = cause
    this.#mark = mark
  }

  /** The commit that is under way or went through; undefined before, and after one that failed. */
  get committing(): Promise<CommitOutcome> | undefined {
    return this.#committing
  }

  /** How the commit ended; undefined while none went through. */
  get outcome(): CommitOutcome | undefined {
    return this.#outcome
  }

  /** What the work of the commit returned, waited for. */
  get result(): unknown {
    return this.#result
  }

  /** The one commit. Resolves once everything is durable; on a failure nothing is, and the unit is as it was. */
  commit(work?: (tx: Tx<Db>) => unknown): Promise<CommitOutcome> {
    if (this.#committing) {
      const what = `commit() was called a second time in the context ${this.#home.context}.`
      return Promise.reject(new SpillwayError('COMMIT_TWICE', what))
    }
    this.sender.close()
    this.#committing = this.#attempt(work)
    return this.#committing
  }

  async #attempt(work: ((tx: Tx<Db>) => unknown) | undefined): Promise<CommitOutcome> {
    try {
      const outbox = [...(await this.sender.validated())]
      this.#outcome = await this.#store(outbox, work)
      return this.#outcome
    } catch (thrown) {
      this.#committing = undefined
      this.sender.reopen()
      throw thrown
    }
  }

  async #store(outbox: OutboxMessage[], work: ((tx: Tx<Db>) => unknown) | undefined): Promise<CommitOutcome> {
    const { database, deliver, timeoutMs, context } = this.#home
    const mark = this.#mark()
    if (database) {
      const effects = work && ((db: Db) => this.#runWork(work, () => db, outbox))
      const outcome = await database.commit({ effects, outbox, timeoutMs, ...mark })
      if (outcome === 'committed') this.#wake(database, outbox)
      return outcome
    }
    if (work) {
      const absent = (): Db => {
        throw new SpillwayError('NO_DATABASE', `The service of ${context} asked for its database.`)
      }
      await this.#runWork(work, absent, outbox)
    }
    await deliver(outbox)
    return 'committed'
  }

  /** Names where to: the relay need not look for it. */
  #wake(database: Database<Db>, outbox: readonly OutboxMessage[]): void {
    const relayed = outbox.filter((message) => !database.passesOutbox?.(message))
    if (relayed.length > 0) this.#home.wake?.(relayed.map(({ destination }) => destination))
  }

  /** Runs the work with a sender of its own, whose messages enter the outbox only when all of it went well. */
  #runWork(work: (tx: Tx<Db>) => unknown, handle: () => Db, outbox: OutboxMessage[]): unknown {
    const inner = new GatheringSender(this.#home, this.#cause)
    const tx: Tx<Db> = {
      get db() {
        return handle()
      },
      publish: (event, data, options) => inner.publish(event, data, options),
      send: (queue, data, options) => inner.send(queue, data, options),
    }
    const finish = async (result: unknown): Promise<void> => {
      try {
        this.#result = await result
        outbox.push(...(await inner.validated()))
      } finally {
        inner.close()
      }
    }
    let result: unknown
    try {
      result = work(tx)
    } catch (thrown) {
      inner.close()
      throw thrown
    }
    if (result instanceof Promise || inner.isAsynchronous) return finish(result)
    // A synchronous database refuses such a query, and then it must not have begun.
    if (isThenable(result)) return onceAwaited(() => finish(result))
    inner.close()
    this.#result = result
    outbox.push(...inner.messages)
    return undefined
  }
}

// What a tested service commits goes into its real database, and is noted on the way: the messages of the unit that handled what arrived.
import type { Clock } from '../../core/clock.ts'
import type { SpillwayError } from '../../core/errors.ts'
import type { CallPort } from '../../ports/call.ts'
import type { CommitOutcome, CommitUnit, Database, Destination, OutboxMessage } from '../../ports/database.ts'
import type { CancelResult } from '../../ports/queue-control.ts'
import type { UnitHome } from '../../transaction/unit.ts'

/** A message that a handler cancelled. */
export interface Cancelled {
  readonly queue: string
  readonly id: string
}

const transactionMs = 5_000

export class Kept<Db> {
  readonly context: string
  readonly clock: Clock
  readonly database: Database<Db> | undefined
  readonly home: UnitHome<Db>
  #messages: OutboxMessage[] = []
  #cancelled: Cancelled[] = []
  #cancels: CancelResult = 'removed'
  #errors: SpillwayError[] = []

  constructor(context: string, database: Database<Db> | undefined, clock: Clock, calls?: CallPort) {
    this.context = context
    this.clock = clock
    this.database = database && this.#noting(database)
    this.home = {
      context,
      clock,
      database: this.database,
      deliver: async (messages) => void this.#messages.push(...messages),
      cancel: async (queue, id) => {
        this.#cancelled.push({ queue, id })
        return this.#cancels
      },
      onReport: ({ error }) => this.report(error),
      calls,
      timeoutMs: transactionMs,
    }
  }

  /** `cancels`: what is said of every message that the handler cancels. */
  begin(cancels: CancelResult): void {
    this.#messages = []
    this.#cancelled = []
    this.#cancels = cancels
    this.#errors = []
  }

  /** What was committed, or delivered, since it began; in the order of sending. */
  get messages(): readonly OutboxMessage[] {
    return this.#messages
  }

  get cancelled(): readonly Cancelled[] {
    return this.#cancelled
  }

  /** Of what went there nobody wants to hear. */
  forget({ kind, name }: Destination): void {
    this.#messages = this.#messages.filter(
      (of) => of.destination.kind !== kind || of.destination.name !== name,
    )
  }

  /** What went wrong last. */
  get error(): SpillwayError | undefined {
    return this.#errors.at(-1)
  }

  report(error: SpillwayError): void {
    this.#errors.push(error)
  }

  #noting(database: Database<Db>): Database<Db> {
    return {
      name: database.name,
      db: database.db,
      outbox: database.outbox,
      parking: database.parking,
      sagas: database.sagas,
      commit: async (unit: CommitUnit<Db>): Promise<CommitOutcome> => {
        const outcome = await database.commit(unit)
        if (outcome === 'committed') this.#messages.push(...unit.outbox)
        return outcome
      },
      handled: (consumer, ids) => database.handled(consumer, ids),
      answer: (consumer, id) => database.answer(consumer, id),
      acquire: (stream, group, partition) => database.acquire(stream, group, partition),
      rewind: (order, to) => database.rewind(order, to),
      join: (tx) => database.join(tx),
      prune: (before) => database.prune(before),
      close: () => database.close(),
    }
  }
}

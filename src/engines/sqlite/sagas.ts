// The state of sagas in a service's file: for looking, and for letting go of what has ended. What writes it is a unit.
import type { SagaInstance, SagaPort } from '../../ports/saga.ts'
import type { UnitStatements } from './database-unit.ts'

export class SqliteSagas implements SagaPort {
  readonly #statements: UnitStatements
  readonly #check: () => void
  readonly #write: (work: () => number) => Promise<number>

  /** `check` throws once the database is closed; `write` runs in a transaction. */
  constructor(statements: UnitStatements, check: () => void, write: (work: () => number) => Promise<number>) {
    this.#statements = statements
    this.#check = check
    this.#write = write
  }

  async get(saga: string, id: string): Promise<SagaInstance | undefined> {
    this.#check()
    const row = this.#statements.saga.get(saga, id) as SagaInstance | undefined
    return row && { ...row }
  }

  async list(
    saga: string,
    { limit, after = '' }: { readonly limit: number; readonly after?: string },
  ): Promise<SagaInstance[]> {
    this.#check()
    const rows = this.#statements.sagas.all(saga, after, limit) as SagaInstance[]
    return rows.map((row) => ({ ...row }))
  }

  async prune(before: number): Promise<number> {
    return this.#write(() => Number(this.#statements.pruneSagas.run(before).changes))
  }
}

// The handle that effects are given: the unit's own connection, for as long as the unit is open, without the means to end
// its transaction.
import { SpillwayError } from '../../core/errors.ts'
import type { PgLink, PgQuery, PgQueryable, PgResult } from './client.ts'
import { sqlState } from './errors.ts'
import { findGuard, refusedByGuard } from './transaction-guard.ts'

/** What begins or ends a transaction. Savepoints are free: `rollback to` is none of these. */
const transactionVerb =
  /^(?:\s|;|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)*(begin|start\s+transaction|commit|end|abort|rollback(?!\s+(?:(?:work|transaction)\s+)?to\b)|prepare\s+transaction)\b/i

export class UnitHandle implements PgQueryable {
  readonly #client: PgLink
  #refuses: (() => SpillwayError) | undefined
  #refusal: SpillwayError | undefined
  #pending = 0
  /** Resolves when the last query that was asked for has ended. */
  #last: Promise<unknown> = Promise.resolve()
  #failure: unknown

  /** A guard was raised in the transaction (`transaction-guard.ts`). */
  constructor(client: PgLink) {
    this.#client = client
  }

  /** Whether a query is under way or waits for one. */
  get busy(): boolean {
    return this.#pending > 0
  }

  /** Resolves when no query is under way any more. */
  async idle(): Promise<void> {
    while (this.#pending > 0) await this.#last
  }

  /** What the first failing query failed with: why a transaction is aborted whose effects kept that to themselves. */
  get failure(): unknown {
    return this.#failure
  }

  /** Why the unit cannot be committed any more; undefined while it can. */
  get refusal(): SpillwayError | undefined {
    this.#refusal ??= this.#refuses?.()
    return this.#refusal
  }

  /** From now on every call is refused with the error, which is made when it is first needed. The first refusal counts. */
  refuse(error: () => SpillwayError): void {
    this.#refuses ??= error
  }

  async query<Row = Record<string, unknown>>(
    query: string | PgQuery,
    values?: unknown[],
  ): Promise<PgResult<Row>> {
    this.#check()
    const verb = transactionVerb.exec(typeof query === 'string' ? query : query.text)?.[1]
    if (verb !== undefined) {
      this.refuse(() => endedByEffects(`they ran ${verb.toUpperCase()}`))
      this.#check()
    }
    this.#pending += 1
    // One after another: a client takes one query at a time.
    const run = this.#last.then(() => this.#run(query, values))
    this.#last = run.catch(() => {})
    return (await run) as PgResult<Row>
  }

  async #run(query: string | PgQuery, values: unknown[] | undefined): Promise<unknown> {
    try {
      this.#check()
      const result = await this.#client.query(query, values)
      if (mayHaveEnded(result)) await this.#look()
      return result
    } catch (thrown) {
      this.#failure ??= thrown
      if (sqlState(thrown) !== refusedByGuard) throw thrown
      this.refuse(byStatement)
      throw this.refusal
    } finally {
      this.#pending -= 1
    }
  }

  /** What comes after the end of the transaction must not be stored on its own. */
  async #look(): Promise<void> {
    const found = (await this.#client.query(findGuard)) as PgResult
    if (found.rows.length > 0) return
    this.refuse(byStatement)
    this.#check()
  }

  #check(): void {
    if (this.#refuses !== undefined) throw this.refusal
  }
}

const byStatement = (): SpillwayError => endedByEffects('a statement of theirs did')

/** A rollback hidden among other statements, or behind an odd comment; one to a savepoint says the same. */
function mayHaveEnded(result: unknown): boolean {
  const results = (Array.isArray(result) ? result : [result]) as (
    | { readonly command?: unknown }
    | undefined
  )[]
  return results.some((one) => one?.command === 'ROLLBACK')
}

export function endedByEffects(how: string): SpillwayError {
  return new SpillwayError(
    'COMMIT_TWICE',
    `Effects, and a setup, must not end the transaction that they run in, but ${how}; it was rolled back.`,
    { engine: 'postgres' },
  )
}

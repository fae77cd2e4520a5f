// What a process knows of the queues: their numbers and rules. It may be outdated: every statement says so when it is.
import { SpillwayError } from '../../core/errors.ts'
import type { QueueRules } from '../../ports/queue-rules.ts'
import { textArray } from './arrays.ts'
import type { Connection, Statement } from './connection.ts'
import { keyOrderFixed } from './control-functions.ts'
import { sqlState } from './errors.ts'

export interface QueueFacts {
  readonly id: number
  readonly rules: QueueRules
  /** Undefined for a queue without rules. Else what statements name, so that they are refused when there are others by now. */
  readonly version: number | undefined
}

interface Row {
  readonly id: number
  readonly rules: QueueRules | null
  readonly version: number
}

export class FactsOfQueues {
  readonly #connection: Connection
  readonly #find: Statement
  readonly #declare: Statement
  readonly #names: Statement
  readonly #known = new Map<string, QueueFacts>()

  constructor(connection: Connection, schema: string) {
    this.#connection = connection
    this.#find = {
      name: 'spillway_find_queue',
      text: `select id, rules, version from ${schema}.queue where name = $1`,
    }
    this.#names = { name: 'spillway_queue_names', text: `select name from ${schema}.queue order by name` }
    this.#declare = {
      name: 'spillway_declare_queues',
      text: `select name, id, rules, version, changed from ${schema}.declare_queues($1, $2::jsonb)`,
    }
  }

  /** Resolves with the numbers of those that have other rules now. */
  async declare(queues: readonly string[], rules: QueueRules | undefined): Promise<number[]> {
    const wanted = rules === undefined ? null : JSON.stringify(inForce(rules))
    const parameters = [textArray([...new Set(queues)]), wanted]
    const rows = await this.#connection
      .run<Row & { readonly name: string; readonly changed: boolean }>(this.#declare, parameters)
      .catch((thrown: unknown) => {
        throw holdsMessages(thrown) ?? thrown
      })
    for (const row of rows) this.#known.set(row.name, toFacts(row))
    return rows.filter(({ changed }) => changed).map(({ id }) => id)
  }

  /** Rejects with UNKNOWN_QUEUE. */
  async of(queue: string): Promise<QueueFacts> {
    const known = this.#known.get(queue)
    if (known !== undefined) return known
    const rows = await this.#connection.run<Row>(this.#find, [queue])
    if (rows[0] === undefined)
      throw new SpillwayError('UNKNOWN_QUEUE', `The queue ${JSON.stringify(queue)} was not declared.`, {
        engine: 'postgres',
      })
    const facts = toFacts(rows[0])
    this.#known.set(queue, facts)
    return facts
  }

  /** The number of a queue that is known, and known to have no rules. */
  plain(queue: string): number | undefined {
    const known = this.#known.get(queue)
    return known?.version === undefined ? known?.id : undefined
  }

  async names(): Promise<string[]> {
    const rows = await this.#connection.run<{ readonly name: string }>(this.#names, [])
    return rows.map(({ name }) => name)
  }

  has(queue: string): boolean {
    return this.#known.has(queue)
  }

  /** These are outdated: they are asked for again. */
  forget(queue: string, outdated: QueueFacts): void {
    if (this.#known.get(queue) === outdated) this.#known.delete(queue)
  }
}

function toFacts({ id, rules, version }: Row): QueueFacts {
  return { id, rules: rules ?? {}, version: rules === null ? undefined : version }
}

/** Only what is asked for, so that equal rules are equal texts. */
function inForce(rules: QueueRules): QueueRules {
  const { keyOrder, priority, dedup, groups, concurrency, rate, flow, finished } = rules
  return {
    ...(keyOrder ? { keyOrder } : {}),
    ...(priority ? { priority } : {}),
    ...(dedup ? { dedup } : {}),
    ...(groups === undefined ? {} : { groups }),
    ...(concurrency === undefined ? {} : { concurrency }),
    ...(rate === undefined ? {} : { rate: { count: rate.count, perMs: rate.perMs } }),
    ...(flow ? { flow } : {}),
    ...(finished === undefined ? {} : { finished }),
  }
}

function holdsMessages(thrown: unknown): SpillwayError | undefined {
  const cause = (thrown as SpillwayError).cause
  if (sqlState(cause) !== keyOrderFixed) return undefined
  const name = JSON.stringify((cause as Error).message)
  return new SpillwayError(
    'CONFIGURATION',
    `The queue ${name} holds messages: whether it keeps the order of keys can only be changed while it is empty. Nothing was changed.`,
    { engine: 'postgres', cause },
  )
}

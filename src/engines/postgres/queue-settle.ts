// Ending and extending leases, for all callers of the process together. The functions check the fencing tokens.
import type { ExtendResult, Settlement, SettleResult } from '../../ports/queue.ts'
import { float8Array, textArray } from './arrays.ts'
import type { Connection, Statement } from './connection.ts'
import { GroupCommit } from './group-commit.ts'
import { Known } from './leases.ts'
import { legible } from './text.ts'

interface Ending {
  readonly queue: number
  readonly settlements: readonly Settlement[]
}

interface Extension {
  readonly queue: number
  readonly leases: readonly string[]
  readonly leaseMs: number
  readonly progress: readonly (string | undefined)[]
}

interface Id {
  readonly id: string
}

interface Extended extends Id {
  readonly cancelled: boolean
}

function statements(schema: string): Record<'done' | 'settle' | 'extend', Statement> {
  return {
    done: {
      name: 'spillway_settle_done',
      text: `select settle_done as id from ${schema}.settle_done($1, $2)`,
    },
    settle: {
      name: 'spillway_settle',
      text: `select settle_messages as id from ${schema}.settle_messages($1, $2, $3, $4, $5)`,
    },
    extend: {
      name: 'spillway_extend',
      text: `select id, cancelled from ${schema}.extend_leases($1, $2, $3, $4)`,
    },
  }
}

export class Leases {
  readonly #connection: Connection
  readonly #sql: Record<'done' | 'settle' | 'extend', Statement>
  readonly #settles: GroupCommit<Ending, SettleResult[]>
  readonly #extends: GroupCommit<Extension, ExtendResult[]>

  constructor(connection: Connection, schema: string) {
    this.#connection = connection
    this.#sql = statements(schema)
    this.#settles = new GroupCommit({
      run: (calls) => this.#runSettles(calls),
      weigh: (ending) => ending.settlements.length * 100,
    })
    this.#extends = new GroupCommit({
      run: (calls) => this.#runExtends(calls),
      weigh: (extension) => extension.leases.length * 100,
    })
  }

  settle(queue: number, settlements: readonly Settlement[]): Promise<SettleResult[]> {
    return this.#settles.submit({ queue, settlements })
  }

  extend(
    queue: number,
    leases: readonly string[],
    leaseMs: number,
    progress: readonly (string | undefined)[],
  ): Promise<ExtendResult[]> {
    return this.#extends.submit({ queue, leases, leaseMs, progress })
  }

  async close(): Promise<void> {
    await Promise.all([this.#settles.close(), this.#extends.close()])
  }

  async #runSettles(calls: readonly Ending[]): Promise<SettleResult[][]> {
    const known = new Known(
      calls.map(({ queue, settlements }) => ({ queue, leases: settlements.map(({ lease }) => lease) })),
    )
    const settlements = calls.flatMap((call) => call.settlements)
    const chosen = known.chosen.map((index) => settlements[index]!)
    const onlyDone = chosen.every((settlement) => settlement.kind === 'done')
    const extra = onlyDone
      ? []
      : [textArray(chosen.map((settlement) => settlement.kind)), ...delaysAndReasons(chosen)]
    const stale = await this.#connection.run<Id>(onlyDone ? this.#sql.done : this.#sql.settle, [
      ...known.parameters(),
      ...extra,
    ])
    return known.allBut(stale, 'settled')
  }

  async #runExtends(calls: readonly Extension[]): Promise<ExtendResult[][]> {
    const known = new Known(calls)
    const leases = calls.flatMap((call) => call.leases.map(() => call.leaseMs))
    const rows = await this.#connection.run<Extended>(this.#sql.extend, [
      ...known.parameters(),
      float8Array(known.chosen.map((index) => leases[index]!)),
      progressArray(calls, known),
    ])
    return known.results(rows, extended)
  }
}

/** What the holders of leases say of their progress, as far as they do. */
export function progressArray(
  calls: readonly {
    readonly leases: readonly string[]
    readonly progress: readonly (string | undefined)[]
  }[],
  known: Known,
): Buffer {
  const said = calls.flatMap(({ leases, progress }) => leases.map((_, index) => progress[index]))
  return textArray(known.chosen.map((index) => said[index]))
}

/** The last two parameters of a settling statement. */
export function delaysAndReasons(settlements: readonly Settlement[]): Buffer[] {
  return [
    float8Array(settlements.map((settlement) => (settlement.kind === 'retry' ? settlement.delayMs : 0))),
    textArray(
      settlements.map((settlement) =>
        'reason' in settlement && settlement.reason !== undefined ? legible(settlement.reason) : undefined,
      ),
    ),
  ]
}

export function extended({ cancelled }: { readonly cancelled: boolean }): ExtendResult {
  return cancelled ? 'cancelled' : 'extended'
}

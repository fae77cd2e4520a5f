// A queue with rules, as this process uses it: sends, settlements and extensions of concurrent callers go together, each as one
// call of a function of the database.

import type { SpillwayError } from '../../core/errors.ts'
import type {
  ClaimedMessage,
  ExtendResult,
  OutgoingMessage,
  Settlement,
  SettleResult,
} from '../../ports/queue.ts'
import { type After, type Duplicate, unknownMessage } from '../../ports/queue-rules.ts'
import { float8Array, int4Array, int8Array, textArray } from './arrays.ts'
import type { Connection, Run, Statement } from './connection.ts'
import { sqlState } from './errors.ts'
import { unknownPredecessor } from './flow-functions.ts'
import { GroupCommit } from './group-commit.ts'
import { Known, readTaskLease, taskLeaseOf } from './leases.ts'
import { LevelBounds } from './level-bounds.ts'
import type { Look } from './queue-claim.ts'
import { delaysAndReasons, extended, progressArray } from './queue-settle.ts'

interface Send {
  readonly version: number
  readonly messages: readonly OutgoingMessage[]
}

/** A message that was not stored, by its place, and who has its key; the place -1: nothing was, the rules are others. */
interface Unsent {
  readonly place: number
  readonly holder: string
}

interface Extension {
  readonly leases: readonly string[]
  readonly leaseMs: number
  readonly progress: readonly (string | undefined)[]
}

interface Row {
  /** null: nothing was claimed. */
  readonly id: string | null
  readonly message_id: string
  readonly key: string | null
  readonly body: string
  /** -1 in the row without an id: the queue has other rules by now. */
  readonly starts: number
  readonly token: string
  readonly suspect: boolean
  /** Its priority. */
  readonly level: number
  readonly wait_ms: number | null
  /** How long it took to find them; null when nothing was looked for. */
  readonly scan_ms: number | null
  readonly orphan: boolean
  readonly redriven: number | null
}

export type TaskStatements = Record<'send' | 'claim' | 'settle' | 'extend', Statement>

export function taskStatements(schema: string): TaskStatements {
  return {
    send: {
      name: 'spillway_send_tasks',
      text: `select place, holder from ${schema}.send_tasks($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
    },
    claim: {
      name: 'spillway_claim_tasks',
      text: `select * from ${schema}.claim_tasks($1, $2, $3, $4, $5, $6)`,
    },
    settle: {
      name: 'spillway_settle_tasks',
      text: `select settle_tasks as id from ${schema}.settle_tasks($1, $2, $3, $4, $5, $6)`,
    },
    extend: {
      name: 'spillway_extend_tasks',
      text: `select id, cancelled from ${schema}.extend_tasks($1, $2, $3, $4, $5)`,
    },
  }
}

export class Tasks {
  readonly #connection: Connection
  readonly #sql: TaskStatements
  readonly #queue: number
  readonly #changed: (queue: number) => void
  readonly #bounds = new LevelBounds()
  readonly #sends: GroupCommit<Send, readonly Duplicate[] | 'outdated'>
  readonly #settles: GroupCommit<readonly Settlement[], SettleResult[]>
  readonly #extends: GroupCommit<Extension, ExtendResult[]>

  /** `changed` hears of what may let a claim find something, in this queue or another one, once for all that went together. */
  constructor(connection: Connection, sql: TaskStatements, queue: number, changed: (queue: number) => void) {
    this.#connection = connection
    this.#sql = sql
    this.#queue = queue
    this.#changed = changed
    this.#sends = new GroupCommit({ run: (calls) => this.#runSends(calls), weigh: weight })
    this.#settles = new GroupCommit({
      run: (calls) => this.#runSettles(calls),
      weigh: (settlements) => settlements.length * 100,
    })
    this.#extends = new GroupCommit({
      run: (calls) => this.#runExtends(calls),
      weigh: ({ leases }) => leases.length * 100,
    })
  }

  /** 'outdated', and nothing stored, when the queue has rules of another version. */
  send(version: number, messages: readonly OutgoingMessage[]): Promise<readonly Duplicate[] | 'outdated'> {
    // What waits for others may be refused: alone, so that nobody else is.
    const mayBeRefused = messages.some(({ after }) => after !== undefined && !after.mayCome)
    if (mayBeRefused) return this.#runSends([{ version, messages }]).then((results) => results[0]!)
    return this.#sends.submit({ version, messages })
  }

  /** The same in a transaction of the caller's, who says that something was stored once it is committed. */
  async sendIn(
    run: Run,
    version: number,
    messages: readonly OutgoingMessage[],
  ): Promise<'sent' | 'outdated'> {
    const duplicates = await this.#store(run, version, messages)
    return duplicates[0]?.place === -1 ? 'outdated' : 'sent'
  }

  settle(settlements: readonly Settlement[]): Promise<SettleResult[]> {
    return this.#settles.submit(settlements)
  }

  extend(
    leases: readonly string[],
    leaseMs: number,
    progress: readonly (string | undefined)[],
  ): Promise<ExtendResult[]> {
    return this.#extends.submit({ leases, leaseMs, progress })
  }

  /** 'outdated' when the queue has rules of another version, or none. */
  async claim(version: number, limit: number, leaseMs: number): Promise<Look | 'outdated'> {
    const bounds = this.#bounds.begin()
    const rows = await this.#connection.run<Row>(this.#sql.claim, [
      this.#queue,
      version,
      limit,
      leaseMs,
      int4Array(bounds.levels),
      int8Array(bounds.froms),
    ])
    const idle = rows[0]?.id === null ? rows[0] : undefined
    if (idle?.starts === -1) return 'outdated'
    const scanMs = rows[0]?.scan_ms ?? null
    const taken = idle === undefined ? rows.map(({ level, id }) => ({ level, id: Number(id) })) : []
    if (scanMs !== null) this.#bounds.done(bounds, scanMs, taken)
    if (idle !== undefined) return { messages: [], dueMs: idle.wait_ms ?? undefined }
    return { messages: rows.map((row) => toMessage(this.#queue, row)), dueMs: undefined }
  }

  async close(): Promise<void> {
    await Promise.all([this.#sends.close(), this.#settles.close(), this.#extends.close()])
  }

  /** All those of the newest version go together; who knows an older one is told so. */
  async #runSends(calls: readonly Send[]): Promise<(readonly Duplicate[] | 'outdated')[]> {
    const version = Math.max(...calls.map((call) => call.version))
    const results: (Duplicate[] | 'outdated')[] = calls.map((call) =>
      call.version === version ? [] : 'outdated',
    )
    const places = calls.flatMap((call, place) =>
      call.version === version ? call.messages.map((message, index) => ({ place, index, message })) : [],
    )
    const duplicates = await this.#store(
      (...args) => this.#connection.run(...args),
      version,
      places.map(({ message }) => message),
    )
    if (duplicates[0]?.place === -1) return calls.map(() => 'outdated')
    this.#changed(this.#queue)
    for (const { place, holder } of duplicates) {
      const { place: call, index } = places[place]!
      ;(results[call] as Duplicate[]).push({ index, id: holder })
    }
    return results
  }

  #store(run: Run, version: number, messages: readonly OutgoingMessage[]): Promise<Unsent[]> {
    const parameters = [
      this.#queue,
      version,
      textArray(messages.map(({ id }) => id)),
      textArray(messages.map(({ key }) => key)),
      textArray(messages.map(({ body }) => body)),
      float8Array(messages.map(({ delayMs }) => delayMs)),
      int4Array(messages.map(({ priority = 0 }) => priority)),
      textArray(messages.map(({ group = '' }) => group)),
      textArray(messages.map(({ dedup }) => dedup?.key)),
      float8Array(messages.map(({ dedup }) => dedup?.forMs)),
      textArray(messages.map(({ after }) => after && othersText(after))),
    ]
    return run<Unsent>(this.#sql.send, parameters).catch((thrown: unknown) => {
      throw unknownOther(thrown) ?? thrown
    })
  }

  async #runSettles(calls: readonly (readonly Settlement[])[]): Promise<SettleResult[][]> {
    const known = new Known(
      calls.map((settlements) => ({ queue: this.#queue, leases: settlements.map(({ lease }) => lease) })),
      readTaskLease,
    )
    const settlements = calls.flat()
    const chosen = known.chosen.map((index) => settlements[index]!)
    const rows = await this.#connection.run<{ id: string }>(this.#sql.settle, [
      this.#queue,
      ...known.parameters(),
      textArray(chosen.map(({ kind }) => kind)),
      ...delaysAndReasons(chosen),
    ])
    // Every ending may let others pass.
    if (rows.length > 0) this.#changed(this.#queue)
    for (const { id } of rows) if (id.startsWith('-')) this.#changed(-Number(id))
    return known.results(rows, () => 'settled')
  }

  async #runExtends(calls: readonly Extension[]): Promise<ExtendResult[][]> {
    const known = new Known(
      calls.map(({ leases }) => ({ queue: this.#queue, leases })),
      readTaskLease,
    )
    const leases = calls.flatMap((call) => call.leases.map(() => call.leaseMs))
    const rows = await this.#connection.run<{ id: string; cancelled: boolean }>(this.#sql.extend, [
      this.#queue,
      ...known.parameters(),
      float8Array(known.chosen.map((index) => leases[index]!)),
      progressArray(calls, known),
    ])
    return known.results(rows, extended)
  }
}

function toMessage(queue: number, row: Row): ClaimedMessage {
  return {
    id: row.message_id,
    key: row.key ?? undefined,
    body: row.body,
    starts: row.starts,
    suspect: row.suspect,
    lease: taskLeaseOf(queue, row.id!, row.token),
    fencingToken: Number(row.token),
    ...(row.orphan ? { orphan: true } : undefined),
    ...(row.redriven === null ? undefined : { redrivenAt: row.redriven }),
  }
}

/** What a message waits for, as the database reads it. */
function othersText({ ids, anyEnd = false, mayCome = false }: After): string {
  return JSON.stringify({ ids, anyEnd, mayCome })
}

function unknownOther(thrown: unknown): SpillwayError | undefined {
  const cause = (thrown as SpillwayError).cause
  return sqlState(cause) === unknownPredecessor
    ? unknownMessage('postgres', (cause as Error).message)
    : undefined
}

function weight({ messages }: Send): number {
  return messages.reduce((sum, message) => sum + message.body.length + 100, 0)
}

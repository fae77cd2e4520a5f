// Sending to queues without rules: concurrent sends of this process, whatever their queues, go together as one statement.
import type { OutgoingMessage } from '../../ports/queue.ts'
import { float8Array, int4Array, textArray } from './arrays.ts'
import type { Connection, Run, Statement } from './connection.ts'
import { GroupCommit } from './group-commit.ts'

interface Send {
  readonly queue: number
  readonly messages: readonly OutgoingMessage[]
}

type Sent = 'sent' | 'outdated'

/** The ids are given in the order of the rows: the order in which they become claimable. Stores nothing when it returns a row. */
function sendStatement(schema: string): Statement {
  return {
    name: 'spillway_send',
    text: `with ruled as materialized (
  select q.id from ${schema}.queue q where q.id = any($6::int[]) and q.rules is not null
), stored as (
  insert into ${schema}.message (queue, message_id, key, body, due_at)
  select m.queue, m.message_id, m.key, m.body, now() + m.delay * interval '1 millisecond'
  from unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::float8[]) with ordinality m(queue, message_id, key, body, delay, place)
  where not exists (select from ruled)
  order by m.place
)
select id from ruled`,
  }
}

export class Sends {
  readonly #connection: Connection
  readonly #statement: Statement
  readonly #stored: (queue: number) => void
  readonly #sends: GroupCommit<Send, Sent>

  /** `stored` hears of every queue that got messages, once for all that went together. */
  constructor(connection: Connection, schema: string, stored: (queue: number) => void) {
    this.#connection = connection
    this.#statement = sendStatement(schema)
    this.#stored = stored
    this.#sends = new GroupCommit({ run: (calls) => this.#run(calls), weigh: weight })
  }

  /** 'outdated', and nothing stored, when the queue has rules by now. */
  send(queue: number, messages: readonly OutgoingMessage[]): Promise<Sent> {
    return this.#sends.submit({ queue, messages })
  }

  /** The same in a transaction of the caller's, who says what was stored once it is committed. */
  async sendIn(run: Run, queue: number, messages: readonly OutgoingMessage[]): Promise<Sent> {
    return (await this.#store(run, [{ queue, messages }], [queue])).length === 0 ? 'sent' : 'outdated'
  }

  close(): Promise<void> {
    return this.#sends.close()
  }

  async #run(calls: readonly Send[]): Promise<Sent[]> {
    const queues = new Set(calls.map((call) => call.queue))
    const ruled = await this.#store((...args) => this.#connection.run(...args), calls, [...queues])
    if (ruled.length === 0) {
      for (const queue of queues) this.#stored(queue)
      return calls.map(() => 'sent')
    }
    const outdated = new Set(ruled.map(({ id }) => id))
    const others = calls.filter((call) => !outdated.has(call.queue))
    const results = others.length === 0 ? [] : await this.#run(others)
    let next = 0
    return calls.map((call) => (outdated.has(call.queue) ? 'outdated' : results[next++]!))
  }

  /** The queues that have rules by now: if there are any, nothing was stored. */
  async #store(run: Run, calls: readonly Send[], queues: readonly number[]): Promise<{ id: number }[]> {
    const rows = calls.flatMap((call) => call.messages.map((message) => ({ queue: call.queue, message })))
    return await run<{ id: number }>(this.#statement, [
      int4Array(rows.map((row) => row.queue)),
      textArray(rows.map((row) => row.message.id)),
      textArray(rows.map((row) => row.message.key)),
      textArray(rows.map((row) => row.message.body)),
      float8Array(rows.map(({ message }) => (message.delayMs ? message.delayMs : undefined))),
      int4Array(queues),
    ])
  }
}

function weight(send: Send): number {
  return send.messages.reduce((sum, message) => sum + message.body.length + 100, 0)
}

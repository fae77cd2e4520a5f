// Queues that are kept in the very database of a service: its transactions store messages there themselves. Only those of queues without
// rules: the locks of the others (keys, deduplication, flows) would be held for as long as the transaction lasts.
import type { OutboxMessage } from '../../ports/database.ts'
import type { Home, HomeOptions } from './place.ts'
import { functionSettings } from './session.ts'

export class QueueHome implements Home {
  readonly place: string
  readonly trial: string
  readonly #schema: string
  readonly #plain: HomeOptions['plain']
  readonly #stored: HomeOptions['stored']

  constructor({ place, schema, plain, stored }: HomeOptions) {
    this.place = place
    this.trial = `select ${schema}.store_plain('', '[]')`
    this.#schema = schema
    this.#plain = plain
    this.#stored = stored
  }

  /** The queue in which the message is stored at once; undefined when it goes by the outbox. */
  queueOf({ destination, plain }: OutboxMessage): number | undefined {
    return destination.kind === 'queue' && plain !== undefined ? this.#plain(destination.name) : undefined
  }

  /** The call that stores what `written` wrote; both are SQL. What has rules by now goes into the outbox of the (quoted) schema. */
  call(outbox: string, messages: string): string {
    return `${this.#schema}.store_plain('${outbox.replaceAll("'", "''")}', ${messages})`
  }

  stored(queues: Iterable<number>): void {
    for (const queue of new Set(queues)) this.#stored(queue)
  }
}

/** A message with the queue in which it is stored at once. */
export interface Straight {
  readonly queue: number
  readonly message: OutboxMessage
}

/** What is stored in its queue, and what in the outbox. */
export function parted(
  messages: readonly OutboxMessage[],
  home: QueueHome | undefined,
): readonly [readonly Straight[], readonly OutboxMessage[]] {
  if (home === undefined) return [[], messages]
  const straight: Straight[] = []
  const rest: OutboxMessage[] = []
  for (const message of messages) {
    const queue = home.queueOf(message)
    if (queue === undefined) rest.push(message)
    else straight.push({ queue, message })
  }
  return [straight, rest]
}

/** As `store_plain` reads it. */
export function written(messages: readonly Straight[]): string {
  return JSON.stringify(
    messages.map(({ queue, message: { id, key, body, plain } }) => [
      queue,
      id,
      key ?? null,
      body,
      plain!.delayMs,
    ]),
  )
}

/** Stores messages of a transaction of the caller's in queues without rules, in their order. */
export const storePlain = (schema: string): string => `
create function ${schema}.store_plain(p_outbox text, p_messages text) returns void language plpgsql ${functionSettings} as $$
declare
  v_ruled int[];
begin
  with m as (
    select (e.message->>0)::int as queue, e.message, e.place
    from json_array_elements(p_messages::json) with ordinality e(message, place)
  ), ruled as materialized (
    select q.id from ${schema}.queue q where q.id in (select m.queue from m) and q.rules is not null
  ), stored as (
    insert into ${schema}.message (queue, message_id, key, body, due_at)
      select m.queue, m.message->>1, m.message->>2, m.message->>3,
        case when (m.message->>4)::float8 > 0 then clock_timestamp() + (m.message->>4)::float8 * interval '1 millisecond' end
      from m where m.queue not in (select r.id from ruled r) order by m.place
  )
  select array_agg(r.id) into v_ruled from ruled r;
  if v_ruled is not null then
    execute format($f$
      insert into %s.outbox (kind, name, message_id, key, body)
      select 'queue', q.name, e.message->>1, e.message->>2, e.message->>3
      from json_array_elements($1::json) with ordinality e(message, place) join ${schema}.queue q on q.id = (e.message->>0)::int
      where q.id = any($2) order by e.place$f$, p_outbox) using p_messages, v_ruled;
  end if;
end $$;
`

// The finished messages of queues that keep them.
import type { Migration } from './migrations.ts'
import { functionSettings } from './session.ts'

/** How many one trimming looks at, and removes at most. */
const trimAtOnce = 2_000

export function finishedTables(hot: string): Migration {
  return (schema) => `
create table ${schema}.finished (
  queue int not null,
  handle bigint generated always as identity,
  starts int not null,
  finished_at timestamptz not null,
  message_id text not null,
  key text,
  body text not null,
  primary key (queue, handle)
) with (${hot});

create function ${schema}.trim_finished(p_queue int) returns float8 language plpgsql ${functionSettings} as $$
declare
  v_rule jsonb;
  v_over bigint;
  v_before timestamptz;
  v_count float8;
begin
  select q.rules->'finished' into v_rule from ${schema}.queue q where q.id = p_queue;
  if v_rule is null or v_rule ? 'count' then
    select f.handle into v_over from ${schema}.finished f where f.queue = p_queue
      order by f.handle desc limit 1 offset coalesce((v_rule->>'count')::int, 0);
  end if;
  v_before := clock_timestamp() - (v_rule->>'forMs')::float8 * interval '1 millisecond';
  delete from ${schema}.finished f where f.queue = p_queue and f.handle = any(array(
    select o.handle from (
      select s.handle, s.finished_at from ${schema}.finished s where s.queue = p_queue order by s.handle limit ${trimAtOnce}
    ) o where o.handle <= v_over or o.finished_at <= v_before
  ));
  get diagnostics v_count = row_count;
  return v_count;
end $$;
`
}

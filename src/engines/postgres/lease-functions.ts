// Claiming messages of queues without rules, and what becomes of their leases. A claim writes one narrow row for all that it leases, and
// leaves the messages as they are (decision 14). Who holds the row lock of a message decides whether it is leased; who
// holds that of a lease, how it ends. After waiting for either each function looks anew, by a statement of its own.
import type { Migration } from './migrations.ts'
import { functionSettings } from './session.ts'

/** By a hash of the array, where a plain `in` becomes a join: row by row, as the plans here are (session.ts). */
const among = (one: string, array: string) => `(${one} in (select unnest(${array}))) is true`

const settings = `language plpgsql ${functionSettings}`

/** When the message was redriven: milliseconds since the epoch, or null. */
export const redriven = (message: string): string =>
  `floor(extract(epoch from ${message}.redriven_at) * 1000)::float8`

/** Its rows come and go with every claim: vacuumed by count, and without pauses. */
export const leaseTable: Migration = (schema) => `
create unlogged table ${schema}.lease (
  token bigint not null,
  id bigint generated always as identity,
  queue int not null,
  highest bigint not null,
  held int not null,
  due_at timestamptz not null,
  ids bigint[] not null,
  primary key (token, id)
) with (fillfactor = 50, vacuum_truncate = false,
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0,
  toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 5000, toast.autovacuum_vacuum_cost_delay = 0);
alter table ${schema}.lease alter column ids set storage external;
comment on table ${schema}.lease is 'messages that were claimed together, or of those the ones that were extended together';
comment on column ${schema}.lease.token is 'the fencing token of all of them';
comment on column ${schema}.lease.ids is 'the messages: those of them that are still in the table message are leased';
comment on column ${schema}.lease.held is 'how many of them have not ended: the row goes with the last';
comment on column ${schema}.lease.highest is 'none of them has a higher number';
create index lease_due on ${schema}.lease (queue, due_at);
create index lease_highest on ${schema}.lease (queue, highest);
`

export const leaseFunctions: Migration = (schema) => {
  /** The numbers of messages that stand in leases. */
  const leased = (where: string) =>
    `(select unnest(l.ids) from ${schema}.lease l where l.queue = p_queue and ${where})`
  /** The leases that are spoken of, each with the messages that are; to be asked for when they are locked. */
  const leasesOf = (spoken: string) => `
    select l.*, s.wanted from (
      select u.token, array_agg(u.id) as wanted from ${spoken} group by u.token
    ) s join ${schema}.lease l on l.token = s.token order by l.token, l.id`
  const settled = leasesOf('unnest(p_ids, p_tokens) u(id, token)')
  const lock = `perform ${schema}.lock_leases(p_tokens);`
  const wanted = `array(select i from unnest(v_lease.wanted) i where ${among('i', 'v_lease.ids')})`
  const ofLease = 'l.token = v_lease.token and l.id = v_lease.id'
  /** Those of v_ids end: the row goes with the last, until then it says `left`. Gathers in v_all what has ended. */
  const end = (left = '') => `
    if cardinality(v_ids) < v_lease.held then
      update ${schema}.lease l set held = l.held - cardinality(v_ids)${left} where ${ofLease};
    else
      delete from ${schema}.lease l where ${ofLease};
    end if;
    v_all := v_all || v_ids;`
  /** What is spoken of and did not end is stale. */
  const stale = `
  if cardinality(v_all) < cardinality(p_ids) then
    return query select i from unnest(p_ids) i where i not in (select unnest(v_all));
  end if;`

  return `
-- Has the row locks of all leases with these tokens. Whoever was waited for may have divided one, and what he has put into a row of its
-- own is nobody's yet; once there is none more than those that are locked, nobody else can make one.
create function ${schema}.lock_leases(p_tokens bigint[]) returns void language plpgsql as $$
declare
  v_locked int;
begin
  loop
    perform from ${schema}.lease l where l.token = any(p_tokens) order by l.token, l.id for update;
    get diagnostics v_locked = row_count;
    exit when v_locked = (select count(*) from ${schema}.lease l where l.token = any(p_tokens));
  end loop;
end $$;

-- The messages of leases that have ended are due, as many as a claim may take or a few more; those that were cancelled go.
create function ${schema}.end_leases(p_queue int, p_limit int, p_now timestamptz, p_back float8) returns void language plpgsql as $$
declare
  v_lease ${schema}.lease;
  v_count int;
  v_due int := 0;
begin
  for v_lease in
    select l.* from ${schema}.lease l where l.queue = p_queue and l.due_at <= p_now
      and l.due_at >= p_now - p_back * interval '1 millisecond'
    order by l.due_at limit p_limit for update skip locked
  loop
    delete from ${schema}.message m where m.id = any(v_lease.ids) and m.cancelled;
    update ${schema}.message m set due_at = p_now, starts = m.starts + 1, suspect = true, token = v_lease.token
      where m.id = any(v_lease.ids);
    get diagnostics v_count = row_count;
    delete from ${schema}.lease l where l.token = v_lease.token and l.id = v_lease.id;
    v_due := v_due + v_count;
    exit when v_due >= p_limit;
  end loop;
end $$;

-- Leases up to p_limit. The first row has no message: its id is the token of all, null when nothing was leased; its starts
-- are -1 when the queue has rules by now, -2 while it is paused, -3 when it is worth to look again at once; its due is the time until there may be something. p_from
-- and p_back bound the scans (scan-bound.ts), p_ahead is how far ahead it is worth to look.
create function ${schema}.claim_messages(
  p_queue int, p_limit int, p_lease float8, p_from bigint, p_back float8, p_ahead float8
) returns table (id bigint, message_id text, key text, body text, starts int, suspect boolean, due float8, redriven float8) ${settings} as $$
#variable_conflict use_column
declare
  v_ruled boolean;
  v_paused boolean;
  v_now timestamptz;
  v_since timestamptz;
  v_due bigint[];
  v_times float8[];
  v_ids bigint[];
  v_floors bigint[];
  v_cancelled boolean;
  v_lost boolean := false;
begin
  perform set_config('synchronous_commit', 'off', true);
  -- Whoever gives rules to a queue has the table for himself: the queue is looked at when he has ended.
  lock table ${schema}.message in row exclusive mode;
  select q.rules is not null, q.paused into v_ruled, v_paused from ${schema}.queue q where q.id = p_queue;
  if v_ruled or v_paused then
    return query select null::bigint, null, null, null, case when v_ruled then -1 else -2 end, null::boolean, null::float8, null::float8;
    return;
  end if;
  v_now := clock_timestamp();
  v_since := v_now - p_back * interval '1 millisecond';
  perform ${schema}.end_leases(p_queue, p_limit, v_now, p_back);

  select array_agg(d.id), array_agg(d.at), array[max(d.token)] into v_due, v_times, v_floors from (
    select m.id, extract(epoch from m.due_at)::float8 as at, m.token from ${schema}.message m
    where m.queue = p_queue and m.due_at <= v_now and m.due_at >= v_since
    order by m.due_at limit p_limit for update skip locked
  ) d;
  if v_due is not null then
    update ${schema}.message m set due_at = null where m.id = any(v_due);
  end if;

  if p_limit > coalesce(cardinality(v_due), 0) then
    select array_agg(r.id), v_floors || max(r.token), bool_or(r.cancelled) into v_ids, v_floors, v_cancelled from (
      select m.id, m.token, m.cancelled from ${schema}.message m
      where m.queue = p_queue and m.due_at is null and m.id >= p_from
        and m.id not in ${leased('l.highest >= p_from')} and (v_due is null or m.id <> all(v_due))
      order by m.id limit p_limit - coalesce(cardinality(v_due), 0) for update skip locked
    ) r;
    if v_ids is not null then
      -- Another claim may have leased some after this one looked and before it had their locks.
      v_ids := array(select i from unnest(v_ids) i where i not in ${leased('l.highest >= v_ids[1]')});
      -- Only a crash, which forgets the leases, leaves such behind.
      if v_cancelled then
        delete from ${schema}.message m where m.id = any(v_ids) and m.cancelled;
        v_ids := array(select m.id from ${schema}.message m where m.id = any(v_ids));
      end if;
      v_lost := cardinality(v_ids) = 0;
    end if;
  end if;

  if v_due is null and coalesce(cardinality(v_ids), 0) = 0 then
    return query select null::bigint, null, null, null, case when v_lost then -3 else 0 end, null::boolean, (
      select extract(epoch from min(d.due_at) - v_now)::float8 * 1000 from (
        (select m.due_at from ${schema}.message m where m.queue = p_queue and m.due_at >= v_since
          and m.due_at < v_now + p_ahead * interval '1 millisecond' order by m.due_at limit 1)
        union all
        (select l.due_at from ${schema}.lease l where l.queue = p_queue and l.due_at >= v_since
          and l.due_at < v_now + p_ahead * interval '1 millisecond' order by l.due_at limit 1)
      ) d
    ), null::float8;
    return;
  end if;
  return query
    with made as (
      insert into ${schema}.lease (token, queue, highest, held, due_at, ids)
      select greatest((select max(f) + 1 from unnest(v_floors) f), (extract(epoch from v_now) * 1000000)::bigint),
        p_queue, (select max(i) from unnest(v_due || v_ids) i), cardinality(v_due || v_ids),
        v_now + p_lease * interval '1 millisecond', v_due || v_ids
      returning token
    ) select token, null, null, null, 0, null::boolean, null::float8, null::float8 from made;
  -- What is as it mostly is, is left out.
  if v_due is not null then
    return query
      select m.id, m.message_id, m.key, m.body, nullif(m.starts + 1, 1), nullif(m.suspect, false), d.at, ${redriven('m')}
      from unnest(v_due, v_times) d(id, at) join ${schema}.message m on m.id = d.id;
  end if;
  return query
    select m.id, m.message_id, m.key, m.body, nullif(m.starts + 1, 1), nullif(m.suspect, false), null::float8, ${redriven('m')}
    from ${schema}.message m where m.id = any(v_ids);
end $$;

-- Messages that were handled go; gives those whose lease was stale.
create function ${schema}.settle_done(p_ids bigint[], p_tokens bigint[]) returns setof bigint ${settings} as $$
declare
  v_lease record;
  v_ids bigint[];
  v_all bigint[] := '{}';
begin
  ${lock}
  for v_lease in ${settled} loop
    with gone as (delete from ${schema}.message m where m.id = any(${wanted}) returning m.id)
      select coalesce(array_agg(g.id), '{}') into v_ids from gone g;${end()}
  end loop;${stale}
end $$;

-- The same for leases that end in any way. What was cancelled goes, whatever its lease ends with. A message that stays keeps the token, so
-- that the next one is higher.
create function ${schema}.settle_messages(
  p_ids bigint[], p_tokens bigint[], p_kinds text[], p_delays float8[], p_reasons text[]
) returns setof bigint ${settings} as $$
declare
  v_lease record;
  v_ids bigint[];
  v_rest bigint[];
  v_now timestamptz;
  v_all bigint[] := '{}';
begin
  ${lock}
  for v_lease in ${settled} loop
    -- Whoever is cancelling one comes first.
    v_ids := array(select m.id from ${schema}.message m where m.id = any(${wanted}) order by m.id for update);
    v_now := clock_timestamp();
    insert into ${schema}.dead_letter (queue, token, starts, message_id, key, body, reason, history)
      select m.queue, v_lease.token, m.starts + 1, m.message_id, m.key, m.body, s.reason, m.history
      from unnest(p_ids, p_kinds, p_reasons) s(id, kind, reason) join ${schema}.message m on m.id = s.id
      where s.kind = 'dead-letter' and ${among('s.id', 'v_ids')} and not m.cancelled order by m.id;
    delete from ${schema}.message m using unnest(p_ids, p_kinds) s(id, kind)
      where m.id = s.id and (s.kind in ('done', 'dead-letter') or m.cancelled) and ${among('s.id', 'v_ids')};
    update ${schema}.message m
      set due_at = v_now + s.delay * interval '1 millisecond', token = v_lease.token,
        suspect = m.suspect and s.kind = 'release' and m.starts > 0, starts = m.starts + case s.kind when 'release' then 0 else 1 end,
        history = case when s.reason is null then m.history else ${schema}.with_failure(m.history, m.starts + 1, s.reason) end
      from unnest(p_ids, p_kinds, p_delays, p_reasons) s(id, kind, delay, reason)
      where m.id = s.id and s.kind in ('retry', 'release') and ${among('s.id', 'v_ids')};
    v_rest := array(select i from unnest(v_lease.ids) i where i not in (select unnest(v_ids)));${end(', ids = v_rest')}
  end loop;${stale}
end $$;

-- One that has ended is live again, if nobody claimed it since; but under rules its place may be somebody else's. Those that were
-- claimed with it and are not extended keep their time in a row of their own.
create function ${schema}.extend_leases(p_ids bigint[], p_tokens bigint[], p_leases float8[], p_progress text[])
returns table (id bigint, cancelled boolean) ${settings} as $$
#variable_conflict use_column
declare
  v_ms float8;
  v_lease record;
  v_ids bigint[];
begin
  perform set_config('synchronous_commit', 'off', true);
  ${lock}
  for v_ms in select distinct ms from unnest(p_leases) ms loop
    for v_lease in ${leasesOf('unnest(p_ids, p_tokens, p_leases) u(id, token, ms) where u.ms = v_ms')} loop
      v_ids := ${wanted};
      if v_lease.due_at > clock_timestamp() then
        v_ids := array(select m.id from ${schema}.message m where m.id = any(v_ids));
      elsif (select q.rules is null from ${schema}.queue q where q.id = v_lease.queue) then
        -- Whoever cancels one finds it to be live again, or it is gone.
        v_ids := array(select m.id from ${schema}.message m where m.id = any(v_ids) and not m.cancelled order by m.id for update);
      else
        v_ids := '{}';
      end if;
      continue when cardinality(v_ids) = 0;
      -- Those that have ended may stand among the others: nobody finds their messages.
      if cardinality(v_ids) < v_lease.held then
        insert into ${schema}.lease (token, queue, highest, held, due_at, ids)
          values (v_lease.token, v_lease.queue, v_lease.highest, v_lease.held - cardinality(v_ids), v_lease.due_at,
            array(select unnest(v_lease.ids) except select unnest(v_ids)));
      end if;
      update ${schema}.lease l set ids = v_ids, held = cardinality(v_ids), due_at = clock_timestamp() + v_ms * interval '1 millisecond'
        where ${ofLease};
      update ${schema}.message m set progress = v_lease.token || ' ' || s.progress
        from unnest(p_ids, p_tokens, p_progress) s(id, token, progress)
        where m.id = s.id and s.token = v_lease.token and s.progress is not null and ${among('s.id', 'v_ids')};
      return query select m.id, m.cancelled from ${schema}.message m where m.id = any(v_ids);
    end loop;
  end loop;
end $$;
`
}

// What became of deferred requests, in a PostgreSQL database that processes on many machines share.
import type { DeferBounds, DeferredState, DeferStore } from '../../defer.ts'
import { type DeferRow, stateOf } from './stored-state.ts'

/** The least of a pool or client: `pg.Pool` and `pg.Client` have it. */
export interface DeferStorePool {
  query(text: string, values?: unknown[]): Promise<unknown>
}

/** Looked for first, so that a program that may not create anything starts where somebody else has created it. */
const isThere =
  "select to_regprocedure('spillway_defer(text,text,text,bigint,bigint,int,int,bigint)') as made"

/**
 * One batch is one transaction. The lock: two processes that create the same at the same time are refused by PostgreSQL.
 * The function counts after it has its lock, and a volatile function sees what was committed until then: no two fill the last place.
 */
const schema = `
select pg_advisory_xact_lock(hashtextextended('spillway_defer', 0));
create table if not exists spillway_deferred (
  id text primary key, owner text not null, fingerprint text not null, status text not null, result text,
  expires_ms bigint not null, keep_ms bigint not null, joined boolean not null default false
);
create index if not exists spillway_deferred_queued on spillway_deferred (owner, expires_ms) where status = 'queued';
create index if not exists spillway_deferred_keep on spillway_deferred (keep_ms);
create or replace function spillway_defer(
  an_id text, an_owner text, a_fingerprint text, ends_ms bigint, kept_ms bigint, depth int, per_owner int, now_ms bigint
) returns setof spillway_deferred language plpgsql volatile as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('spillway_defer', 0));
  -- A few with each that comes: no more than came are ever left.
  delete from spillway_deferred where keep_ms <= now_ms
    and id in (select d.id from spillway_deferred d where d.keep_ms <= now_ms limit 10);
  delete from spillway_deferred where id = an_id and keep_ms <= now_ms;
  return query update spillway_deferred set joined = true where id = an_id returning *;
  if found then return; end if;
  if (select count(*) from (select 1 from spillway_deferred
        where status = 'queued' and owner = an_owner and expires_ms > now_ms limit per_owner) own) >= per_owner
    or (select count(*) from (select 1 from spillway_deferred
        where status = 'queued' and expires_ms > now_ms limit depth) every) >= depth then return; end if;
  return query insert into spillway_deferred (id, owner, fingerprint, status, expires_ms, keep_ms)
    values (an_id, an_owner, a_fingerprint, 'queued', ends_ms, kept_ms) returning *;
end $$;`

/**
 * Makes its table and a function where they are not there yet; the pool stays yours. Each act is one statement, at READ COMMITTED, the default. Rejects with what
 * the pool rejects with.
 */
export async function postgresDeferStore(pool: DeferStorePool): Promise<DeferStore> {
  const rowsOf = async <Row>(text: string, values?: unknown[]): Promise<readonly Row[]> =>
    ((await pool.query(text, values)) as { readonly rows: readonly Row[] }).rows
  const [found] = await rowsOf<{ readonly made: string | null }>(isThere)
  if (!found?.made) await pool.query(schema)
  return {
    async begin(state: DeferredState, { depth, perOwner, keepUntil }: DeferBounds, nowMs: number) {
      const { id, owner, fingerprint, expiresAt } = state
      const [row] = await rowsOf<DeferRow & { readonly joined: boolean }>(
        'select * from spillway_defer($1, $2, $3, $4, $5, $6, $7, $8)',
        [
          id,
          owner,
          fingerprint,
          ...[expiresAt, keepUntil].map(Math.ceil),
          depth,
          perOwner,
          Math.floor(nowMs),
        ],
      )
      if (row === undefined) return 'full'
      return row.joined ? stateOf(row) : 'new'
    },
    async get(id, nowMs) {
      const [row] = await rowsOf<DeferRow>('select * from spillway_deferred where id = $1 and keep_ms > $2', [
        id,
        Math.floor(nowMs),
      ])
      return row && stateOf(row)
    },
    async extend(id, expiresAt) {
      await pool.query("update spillway_deferred set expires_ms = $2 where id = $1 and status = 'queued'", [
        id,
        Math.ceil(expiresAt),
      ])
    },
    async end(id, status, result) {
      await pool.query(
        "update spillway_deferred set status = $2, result = $3 where id = $1 and status = 'queued'",
        [id, status, result === undefined ? null : JSON.stringify(result)],
      )
    },
    async drop(id) {
      await pool.query('delete from spillway_deferred where id = $1 and not joined', [id])
    },
  }
}

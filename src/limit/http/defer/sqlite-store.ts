// What became of deferred requests, in an SQLite file that all processes of a machine share: it survives restarts.
import type { DeferBounds, DeferredState, DeferStore } from '../../defer.ts'
import { type DeferRow, stateOf } from './stored-state.ts'

/** The least of a handle: node:sqlite's DatabaseSync and better-sqlite3's Database have it. */
export interface DeferStoreHandle {
  exec(sql: string): unknown
  prepare(sql: string): {
    run(...values: (string | number | null)[]): { readonly changes: number | bigint }
    get(...values: (string | number | null)[]): unknown
  }
}

const schema = `
create table if not exists spillway_deferred (
  id text primary key, owner text not null, fingerprint text not null, status text not null, result text,
  expires_ms integer not null, keep_ms integer not null, joined integer not null default 0
) without rowid;
create index if not exists spillway_deferred_queued on spillway_deferred (owner, expires_ms) where status = 'queued';
create index if not exists spillway_deferred_keep on spillway_deferred (keep_ms)`

/** Decided and stored by one statement: no other process comes between. What one owner has is counted first: there are few of it. */
const begin = `
insert into spillway_deferred (id, owner, fingerprint, status, expires_ms, keep_ms)
select ?1, ?2, ?3, 'queued', ?4, ?5
where (select count(*) from (select 1 from spillway_deferred
    where status = 'queued' and owner = ?2 and expires_ms > ?6 limit ?8)) < ?8
  and (select count(*) from (select 1 from spillway_deferred where status = 'queued' and expires_ms > ?6 limit ?7)) < ?7
on conflict (id) do nothing`

/** Makes its table in the file of the handle, which stays yours. Each act is one statement; give the handle a busy timeout where processes share the file. */
export function sqliteDeferStore(handle: DeferStoreHandle): DeferStore {
  handle.exec(schema)
  const insert = handle.prepare(begin)
  const select = handle.prepare('select * from spillway_deferred where id = ? and keep_ms > ?')
  const update = handle.prepare(
    "update spillway_deferred set status = ?, result = ? where id = ? and status = 'queued'",
  )
  const move = handle.prepare(
    "update spillway_deferred set expires_ms = ? where id = ? and status = 'queued'",
  )
  const join = handle.prepare(
    'update spillway_deferred set joined = 1 where id = ? and keep_ms > ? returning *',
  )
  const remove = handle.prepare('delete from spillway_deferred where id = ? and joined = 0')
  const forget = handle.prepare('delete from spillway_deferred where id = ? and keep_ms <= ?')
  const sweep = handle.prepare(
    'delete from spillway_deferred where id in (select id from spillway_deferred where keep_ms <= ? limit 10)',
  )
  return {
    async begin(state: DeferredState, { depth, perOwner, keepUntil }: DeferBounds, nowMs: number) {
      // A few with each that comes: no more than came are ever left.
      sweep.run(nowMs)
      const { id, owner, fingerprint, expiresAt } = state
      // Another process may store the same, or forget it, between two statements: then it is asked again.
      for (;;) {
        const known = join.get(id, nowMs) as DeferRow | undefined
        if (known) return stateOf(known)
        forget.run(id, nowMs)
        const { changes } = insert.run(id, owner, fingerprint, expiresAt, keepUntil, nowMs, depth, perOwner)
        if (Number(changes) > 0) return 'new'
        if (select.get(id, nowMs) === undefined) return 'full'
      }
    },
    async get(id, nowMs) {
      const row = select.get(id, nowMs) as DeferRow | undefined
      return row && stateOf(row)
    },
    async extend(id, expiresAt) {
      move.run(expiresAt, id)
    },
    async end(id, status, result) {
      update.run(status, result === undefined ? null : JSON.stringify(result), id)
    },
    async drop(id) {
      remove.run(id)
    },
  }
}

// What became of deferred requests, in an SQLite file that all processes of a machine share: it survives restarts.
import type { DeferBounds, DeferredResult, DeferredState, DeferStore } from '../../defer.ts'

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
  expires_ms integer not null, keep_ms integer not null
) without rowid;
create index if not exists spillway_deferred_queued on spillway_deferred (owner, expires_ms) where status = 'queued';
create index if not exists spillway_deferred_keep on spillway_deferred (keep_ms)`

/** Decided and stored by one statement: no other process comes between. */
const begin = `
insert into spillway_deferred (id, owner, fingerprint, status, expires_ms, keep_ms)
select ?1, ?2, ?3, 'queued', ?4, ?5
where (select count(*) from spillway_deferred where status = 'queued' and expires_ms > ?6) < ?7
  and (select count(*) from spillway_deferred where status = 'queued' and owner = ?2 and expires_ms > ?6) < ?8
on conflict (id) do nothing`

interface Row {
  readonly id: string
  readonly owner: string
  readonly fingerprint: string
  readonly status: DeferredState['status']
  readonly result: string | null
  readonly expires_ms: number
}

/** Makes its table in the file of the handle, which stays yours. Each act is one statement; give the handle a busy timeout where processes share the file. */
export function sqliteDeferStore(handle: DeferStoreHandle): DeferStore {
  handle.exec(schema)
  const insert = handle.prepare(begin)
  const select = handle.prepare('select * from spillway_deferred where id = ? and keep_ms > ?')
  const update = handle.prepare(
    "update spillway_deferred set status = ?, result = ? where id = ? and status = 'queued'",
  )
  const remove = handle.prepare('delete from spillway_deferred where id = ?')
  const sweep = handle.prepare(
    'delete from spillway_deferred where id in (select id from spillway_deferred where keep_ms <= ? limit 10)',
  )
  const find = (id: string, nowMs: number): DeferredState | undefined => {
    const row = select.get(id, nowMs) as Row | undefined
    return row && stateOf(row)
  }
  return {
    async begin(state: DeferredState, { depth, perOwner, keepUntil }: DeferBounds, nowMs: number) {
      // A few with each that comes: no more than came are ever left.
      sweep.run(nowMs)
      const { id, owner, fingerprint, expiresAt } = state
      const { changes } = insert.run(id, owner, fingerprint, expiresAt, keepUntil, nowMs, depth, perOwner)
      return Number(changes) > 0 ? 'new' : (find(id, nowMs) ?? 'full')
    },
    async get(id, nowMs) {
      return find(id, nowMs)
    },
    async end(id, status, result) {
      update.run(status, result === undefined ? null : JSON.stringify(result), id)
    },
    async drop(id) {
      remove.run(id)
    },
  }
}

function stateOf({ id, owner, fingerprint, status, result, expires_ms }: Row): DeferredState {
  const known: DeferredResult | undefined = result === null ? undefined : JSON.parse(result)
  return { id, owner, fingerprint, status, expiresAt: Number(expires_ms), result: known }
}

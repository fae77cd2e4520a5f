// What a soak looks at beside the engine: the sizes of what it stores in, and somebody's transaction that stays open.
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import pg from 'pg'
import { growsForAWeek } from './verdict.ts'

export interface Store {
  sizes(): Promise<{ readonly sizes: Record<string, number>; readonly dead: Record<string, number> }>
  /** Begins a transaction that sees what is there now; resolves with what ends it. */
  hold(): Promise<() => Promise<void>>
  close(): Promise<void>
}

export function storeOf(url: string, schema: string): Store {
  return url.startsWith('sqlite:') ? new Folder(url.slice('sqlite:'.length)) : new Server(url, schema)
}

class Server implements Store {
  readonly #pool: pg.Pool
  readonly #url: string
  readonly #schema: string

  constructor(url: string, schema: string) {
    const plain = new URL(url)
    plain.searchParams.delete('listen')
    this.#url = plain.href
    this.#pool = new pg.Pool({ connectionString: this.#url, max: 1 })
    this.#pool.on('error', () => {})
    this.#schema = schema
  }

  async sizes() {
    const { rows } = await this.#pool.query<{ name: string; bytes: number; dead: number | null }>(
      `select c.relname as name, pg_relation_size(c.oid)::float8 as bytes, s.n_dead_tup::float8 as dead
      from pg_class c join pg_namespace n on n.oid = c.relnamespace left join pg_stat_all_tables s on s.relid = c.oid
      where n.nspname = $1 and c.relkind in ('r', 'i')
      union all
      select o.relname || ' (toast)', pg_total_relation_size(o.reltoastrelid)::float8, null
      from pg_class o join pg_namespace n on n.oid = o.relnamespace where n.nspname = $1 and o.reltoastrelid <> 0`,
      [this.#schema],
    )
    const sizes = Object.fromEntries(rows.map(({ name, bytes }) => [name, bytes]))
    const dead = Object.fromEntries(rows.flatMap(({ name, dead: count }) => (count ? [[name, count]] : [])))
    return { sizes, dead }
  }

  async hold(): Promise<() => Promise<void>> {
    const client = new pg.Client({ connectionString: this.#url })
    client.on('error', () => {})
    await client.connect()
    await client.query('begin isolation level repeatable read')
    await client.query('select count(*) from pg_class')
    return () => client.end()
  }

  async close(): Promise<void> {
    await this.#pool.end()
  }
}

class Folder implements Store {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  async sizes() {
    const sizes: Record<string, number> = {}
    for (const file of readdirSync(this.#path)) {
      const size = statSync(join(this.#path, file), { throwIfNoEntry: false })?.size ?? 0
      if (file.endsWith('.db-wal')) sizes[file] = size
      if (!file.endsWith('.db')) continue
      const database = new DatabaseSync(join(this.#path, file), { readOnly: true })
      const tables = database.prepare('select name, sum(pgsize) as bytes from dbstat group by name').all()
      database.close()
      let growing = 0
      for (const { name, bytes } of tables) {
        sizes[`${name}`] = Number(bytes)
        if (growsForAWeek.test(`${name}`)) growing += Number(bytes)
      }
      sizes[`${file}, the rest of it`] = size - growing
    }
    return { sizes, dead: {} }
  }

  async hold(): Promise<() => Promise<void>> {
    const files = readdirSync(this.#path).filter((file) => file.endsWith('.db'))
    const handles = files.map((file) => new DatabaseSync(join(this.#path, file)))
    for (const handle of handles) handle.exec('begin; select count(*) from sqlite_schema')
    return async () => {
      for (const handle of handles) handle.close()
    }
  }

  async close(): Promise<void> {}
}

// Brings the tables of a schema to the version that this program knows: numbered steps, in one transaction.
import { SpillwayError } from '../../core/errors.ts'
import type { PgResult, PgSession } from './client.ts'
import { translate } from './errors.ts'
import { quote } from './schema.ts'

/** Makes version n of version n - 1; its place in the list is n. A step that was released is never changed. */
export type Migration = (schema: string) => string

export interface Part {
  /** Whose tables: a schema may hold several parts. */
  readonly name: 'engine' | 'service'
  readonly migrations: readonly Migration[]
}

/** Idempotent, also when several processes start at once. STORE_FROM_FUTURE when a newer Spillway was here. */
export async function migrate(client: PgSession, schema: string, part: Part): Promise<void> {
  try {
    if ((await versionOf(client, schema, part)) === part.migrations.length) return
    await client.query('begin isolation level read committed')
    await client.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [`spillway ${schema}`])
    await apply(client, schema, part)
    await client.query('commit')
  } catch (thrown) {
    await client.query('rollback').catch(() => {})
    throw translate(thrown)
  }
}

async function apply(client: PgSession, schema: string, part: Part): Promise<void> {
  if (!(await exists(client, 'select from pg_namespace where nspname = $1', [schema])))
    await client.query(`create schema ${quote(schema)}`)
  await client.query(
    `create table if not exists ${quote(schema)}.migration (part text, version int, applied_at timestamptz not null default now(), primary key (part, version))`,
  )
  for (let version = await versionOf(client, schema, part); version < part.migrations.length; version++) {
    await client.query(part.migrations[version]!(quote(schema)))
    await client.query(`insert into ${quote(schema)}.migration (part, version) values ($1, $2)`, [
      part.name,
      version + 1,
    ])
  }
}

async function versionOf(client: PgSession, schema: string, part: Part): Promise<number> {
  const table = `${quote(schema)}.migration`
  if (!(await exists(client, 'select where to_regclass($1) is not null', [table]))) return 0
  const found = (await client.query(`select max(version) as version from ${table} where part = $1`, [
    part.name,
  ])) as PgResult<{ version: number | null }>
  const version = found.rows[0]?.version ?? 0
  if (version > part.migrations.length)
    throw new SpillwayError(
      'STORE_FROM_FUTURE',
      `The schema ${schema} has version ${version} of Spillway's ${part.name} tables; this program knows ${part.migrations.length}.`,
      { engine: 'postgres', details: { schema, found: version, known: part.migrations.length } },
    )
  return version
}

async function exists(client: PgSession, text: string, values: unknown[]): Promise<boolean> {
  return ((await client.query(text, values)) as PgResult).rows.length > 0
}

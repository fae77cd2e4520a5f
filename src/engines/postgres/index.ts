// spillway/postgres: the engine on PostgreSQL, and a service's own database in PostgreSQL.
export type { PgPool, PgQueryable, PgResult } from './client.ts'
export { type PostgresDatabaseOptions, postgresDatabase } from './database.ts'
export { type PostgresOptions, postgres } from './engine.ts'

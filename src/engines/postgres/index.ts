// spillway/postgres: the engine on PostgreSQL, and a service's own database in PostgreSQL.
export { type PostgresOptions, postgres } from './engine.ts'

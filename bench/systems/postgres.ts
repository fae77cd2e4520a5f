// What all systems on PostgreSQL need: an empty schema to start with, and what the server promises.
import pg from 'pg'

/**
 * Drops what a measurement left, and writes the dirty pages back, so that the next one does not pay for them: no system
 * is measured while the server cleans up after another.
 */
export async function dropSchema(url: string, ...schemas: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    for (const schema of schemas) await client.query(`drop schema if exists "${schema}" cascade`)
    await client.query('checkpoint')
  } finally {
    await client.end()
  }
}

export async function durabilityOf(query: (text: string) => Promise<{ rows: unknown[] }>): Promise<string> {
  const { rows } = await query(
    `select current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit`,
  )
  const { fsync, commit } = rows[0] as { fsync: string; commit: string }
  const level = fsync === 'on' && commit !== 'off' ? 'power-loss' : 'weaker than power-loss'
  return `${level}: fsync=${fsync}, synchronous_commit=${commit}`
}

// What the cases need of SQLite that its engine does not offer yet.
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** Trims a stream past the engine, as retention will. */
export async function trimSqlite(
  folder: string,
  stream: string,
  partition: number,
  below: number,
): Promise<void> {
  const db = new DatabaseSync(join(folder, 'spillway.db'))
  try {
    db.prepare('INSERT OR REPLACE INTO stream_floor SELECT id, ?, ? FROM stream WHERE name = ?').run(
      partition,
      below,
      stream,
    )
  } finally {
    db.close()
  }
}

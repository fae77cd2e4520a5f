// What the cases need of SQLite that its engine does not offer yet.
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** Trims a stream past the engine, as retention will: whole rows go, and the floor hides what is left below it. */
export async function trimSqlite(
  folder: string,
  stream: string,
  partition: number,
  below: number,
): Promise<void> {
  const db = new DatabaseSync(join(folder, 'spillway.db'), { timeout: 5000 })
  try {
    db.exec('BEGIN IMMEDIATE')
    const { id } = db.prepare('SELECT id FROM stream WHERE name = ?').get(stream) as { id: number }
    db.prepare('DELETE FROM stream_batch WHERE stream = ? AND partition = ? AND base + count <= ?').run(
      id,
      partition,
      below,
    )
    db.prepare('INSERT OR REPLACE INTO stream_floor VALUES (?, ?, ?)').run(id, partition, below)
    db.exec('COMMIT')
  } finally {
    db.close()
  }
}

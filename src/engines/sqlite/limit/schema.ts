// The schema of the file of the buckets, as numbered steps. A released step is never edited; changes are new steps.
import type { FileSchema } from '../open-file.ts'

const first = `
CREATE TABLE bucket (
  name TEXT PRIMARY KEY,
  algorithm TEXT NOT NULL,               -- JSON
  numbers BLOB NOT NULL,                 -- float64, as the machine has them
  leases TEXT                            -- JSON: [holder, units, ends in µs], …; null: none
) WITHOUT ROWID;
-- The clock that all processes go by, see boot-clock.ts. One row.
CREATE TABLE clock (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  boot TEXT NOT NULL,
  ahead_us INTEGER NOT NULL,
  last_us INTEGER NOT NULL
);
`

/** "Spll" in ASCII: not the engine's file. */
const applicationId = 0x53706c6c

export const limitSchema: FileSchema = { version: applicationId, migrations: [first] }

// The tables that Spillway keeps in a service's own database. Services may share a file, so each has tables of its own.
import { checkName } from '../../core/name.ts'
import type { SqliteHandle } from './handle.ts'
import type { FileSchema } from './open-file.ts'

/** What the names of a service's tables begin with. SQLite does not tell upper from lower case, and services do. */
export function tablePrefix(service: string): string {
  const name = checkName(service, 'context').replace(/[A-Z]/g, (letter) => `$${letter.toLowerCase()}`)
  return `spillway_${name}_`
}

/** The services that have tables here. */
export function servicesIn(db: SqliteHandle): string[] {
  const tables = db
    .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'spillway%' ORDER BY name")
    .all() as { name: string }[]
  return tables.flatMap(({ name }) => {
    const [, service] = /^spillway_(.+)_version$/.exec(name) ?? []
    return service === undefined
      ? []
      : [service.replace(/\$(.)/g, (_, letter: string) => letter.toUpperCase())]
  })
}

export function databaseSchema(prefix: string): FileSchema {
  return { migrations: migrations(prefix), version: `${prefix}version` }
}

/** A step is never edited once it was released. */
const migrations = (prefix: string): readonly string[] => [
  `
  -- Sequences are never used again, also when their row is gone: receivers keep the highest one they saw.
  CREATE TABLE "${prefix}outbox" (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    destination INTEGER NOT NULL,
    id TEXT NOT NULL,
    key TEXT,
    body TEXT NOT NULL,
    set_aside TEXT
  ) STRICT;
  CREATE INDEX "${prefix}outbox_unsent" ON "${prefix}outbox" (destination, sequence) WHERE set_aside IS NULL;

  CREATE TABLE "${prefix}destination" (
    destination INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (kind, name)
  ) STRICT;

  CREATE TABLE "${prefix}relay" (
    producer_id TEXT NOT NULL,
    holder TEXT,
    locked_until INTEGER NOT NULL DEFAULT 0
  ) STRICT;

  -- Entries in the order of their time, so that the oldest go first without an index on it.
  CREATE TABLE "${prefix}inbox" (
    entry INTEGER PRIMARY KEY,
    consumer TEXT NOT NULL,
    id TEXT NOT NULL,
    handled_at INTEGER NOT NULL,
    UNIQUE (consumer, id)
  ) STRICT;

  CREATE TABLE "${prefix}progress" (
    stream TEXT NOT NULL,
    consumer_group TEXT NOT NULL,
    partition INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    position INTEGER,
    sequences TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (stream, consumer_group, partition)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE "${prefix}finished" (
    stream TEXT NOT NULL,
    consumer_group TEXT NOT NULL,
    partition INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (stream, consumer_group, partition, position)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  CREATE TABLE "${prefix}parked" (
    entry INTEGER PRIMARY KEY,
    stream TEXT NOT NULL,
    consumer_group TEXT NOT NULL,
    partition INTEGER NOT NULL,
    position INTEGER NOT NULL,
    key TEXT,
    body TEXT NOT NULL,
    appended_at INTEGER NOT NULL,
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    UNIQUE (stream, consumer_group, partition, position)
  ) STRICT;
  CREATE INDEX "${prefix}parked_keys" ON "${prefix}parked" (stream, consumer_group, partition, key, position);
  `,
  `ALTER TABLE "${prefix}inbox" ADD COLUMN answer TEXT;`,
  `
  -- A state that is null has ended.
  CREATE TABLE "${prefix}saga" (
    saga TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    body TEXT,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (saga, id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX "${prefix}saga_ended" ON "${prefix}saga" (changed_at) WHERE body IS NULL;
  `,
  `
  -- One row: the time of the latest entry of the inbox that was removed.
  CREATE TABLE "${prefix}inbox_pruned" (up_to INTEGER) STRICT;
  INSERT INTO "${prefix}inbox_pruned" VALUES (NULL);
  `,
  `ALTER TABLE "${prefix}outbox" ADD COLUMN retried_at INTEGER;`,
]

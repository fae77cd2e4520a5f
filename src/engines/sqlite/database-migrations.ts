// The tables that Spillway keeps in a service's own database. A step is never edited once it was released.

export const databaseMigrations: readonly string[] = [
  `
  -- Sequences are never used again, also when their row is gone: receivers keep the highest one they saw.
  CREATE TABLE spillway_outbox (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    destination INTEGER NOT NULL,
    id TEXT NOT NULL,
    key TEXT,
    body TEXT NOT NULL,
    set_aside TEXT
  ) STRICT;
  CREATE INDEX spillway_outbox_unsent ON spillway_outbox (destination, sequence) WHERE set_aside IS NULL;

  CREATE TABLE spillway_destination (
    destination INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (kind, name)
  ) STRICT;

  CREATE TABLE spillway_relay (
    producer_id TEXT NOT NULL,
    holder TEXT,
    locked_until INTEGER NOT NULL DEFAULT 0
  ) STRICT;

  -- Entries in the order of their time, so that the oldest go first without an index on it.
  CREATE TABLE spillway_inbox (
    entry INTEGER PRIMARY KEY,
    consumer TEXT NOT NULL,
    id TEXT NOT NULL,
    handled_at INTEGER NOT NULL,
    UNIQUE (consumer, id)
  ) STRICT;

  CREATE TABLE spillway_progress (
    stream TEXT NOT NULL,
    consumer_group TEXT NOT NULL,
    partition INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    position INTEGER,
    sequences TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (stream, consumer_group, partition)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE spillway_finished (
    stream TEXT NOT NULL,
    consumer_group TEXT NOT NULL,
    partition INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (stream, consumer_group, partition, position)
  ) STRICT, WITHOUT ROWID;
  `,
]

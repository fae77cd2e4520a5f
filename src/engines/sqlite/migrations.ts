// The schema of the engine's file, as numbered steps. A released step is never edited; changes are new steps.
import type { FileSchema } from './open-file.ts'

const first = `
-- Queues. Messages are stored as record batches: one row holds what one commit sent to one queue. The messages of a
-- batch have the sequence numbers base, base + 1, …, taken from one counter for the whole file.
CREATE TABLE queue (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  cursor INTEGER NOT NULL DEFAULT 0,     -- every message below was handed out at least once
  token INTEGER NOT NULL DEFAULT 0       -- the last fencing token that was given
);
CREATE TABLE queue_batch (
  base INTEGER PRIMARY KEY,
  queue INTEGER NOT NULL,
  count INTEGER NOT NULL,
  ordinal INTEGER NOT NULL,              -- how many messages of this queue stand in batches before it
  sent_at INTEGER NOT NULL,
  data BLOB NOT NULL                     -- records, see record.ts
);
CREATE INDEX queue_batch_by_queue ON queue_batch (queue, base);
-- Messages with a row of their own, because they wait for a time of their own: delayed and retried ones.
-- Their numbers start at 2^52, apart from those of the batches.
CREATE TABLE queue_single (
  seq INTEGER PRIMARY KEY,
  queue INTEGER NOT NULL,
  data BLOB NOT NULL
);
-- Only messages that are leased (token > 0) or wait (token = 0) have a lease; fresh ones are above the cursor. A row is
-- a run of messages, so that those claimed together are one row; runs do not overlap.
CREATE TABLE lease (
  "first" INTEGER PRIMARY KEY,
  "last" INTEGER NOT NULL,
  queue INTEGER NOT NULL,
  token INTEGER NOT NULL,
  due INTEGER NOT NULL,                  -- when the lease ends, or the waiting
  starts INTEGER NOT NULL
);
CREATE INDEX lease_by_due ON lease (queue, due);
CREATE TABLE queue_dead (
  handle INTEGER PRIMARY KEY AUTOINCREMENT,
  queue INTEGER NOT NULL,
  reason TEXT NOT NULL,
  starts INTEGER NOT NULL,
  died_at INTEGER NOT NULL,
  data BLOB NOT NULL
);
CREATE INDEX queue_dead_by_queue ON queue_dead (queue, handle);

-- Streams. Record batches too: positions base, base + 1, … of one partition.
CREATE TABLE stream (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  partitions INTEGER NOT NULL,
  versions INTEGER NOT NULL
);
CREATE TABLE stream_batch (
  id INTEGER PRIMARY KEY,
  stream INTEGER NOT NULL,
  partition INTEGER NOT NULL,
  base INTEGER NOT NULL,
  count INTEGER NOT NULL,
  appended_at INTEGER NOT NULL,          -- never falls within a partition
  versions TEXT,                         -- JSON array with the version of each record, null where it has no key
  data BLOB NOT NULL
);
CREATE UNIQUE INDEX stream_batch_by_position ON stream_batch (stream, partition, base);
-- Where a partition was trimmed: records below are gone, though the row of a batch that reaches above may still have them.
CREATE TABLE stream_floor (
  stream INTEGER NOT NULL,
  partition INTEGER NOT NULL,
  position INTEGER NOT NULL,
  PRIMARY KEY (stream, partition)
) WITHOUT ROWID;
-- Only streams that keep versions have rows here.
CREATE TABLE stream_version (
  stream INTEGER NOT NULL,
  key TEXT NOT NULL,
  version INTEGER NOT NULL,
  partition INTEGER NOT NULL,
  position INTEGER NOT NULL,
  PRIMARY KEY (stream, key, version)
) WITHOUT ROWID;

-- Consumer groups.
CREATE TABLE stream_group (
  id INTEGER PRIMARY KEY,
  stream INTEGER NOT NULL,
  name TEXT NOT NULL,
  UNIQUE (stream, name)
);
CREATE TABLE group_member (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  grp INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  session_ms INTEGER NOT NULL
);
CREATE INDEX group_member_by_group ON group_member (grp);
CREATE TABLE group_partition (
  grp INTEGER NOT NULL,
  partition INTEGER NOT NULL,
  member INTEGER,                        -- null: nobody's
  generation INTEGER NOT NULL,
  revoke_by INTEGER,                     -- set while the member is asked to give the partition up
  committed INTEGER,
  PRIMARY KEY (grp, partition)
) WITHOUT ROWID;
`

const second = `
-- Rules. A queue with a row here that has rules, or had them once, may have tasks.
CREATE TABLE queue_rules (
  queue INTEGER PRIMARY KEY,
  rules TEXT,                            -- JSON; null when it never had any
  version INTEGER NOT NULL DEFAULT 1,
  paused INTEGER NOT NULL DEFAULT 0,
  turns TEXT NOT NULL DEFAULT '{}',      -- JSON: for each priority the group that was served last
  bucket REAL,                           -- starts that the rate had left at bucket_at; null: all
  bucket_at INTEGER NOT NULL DEFAULT 0
);
-- Messages of queues with rules: a row each. Their numbers start at 2^52 + 2^51.
CREATE TABLE task (
  seq INTEGER PRIMARY KEY,
  queue INTEGER NOT NULL,
  state INTEGER NOT NULL,                -- 0 ready, 1 waits until due, 2 leased until due, 3 behind another one of its key
  due INTEGER,
  not_before INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  grp TEXT NOT NULL,                     -- empty: none
  lane TEXT,                             -- the key, where the order of keys holds
  token INTEGER NOT NULL DEFAULT 0,
  starts INTEGER NOT NULL DEFAULT 0,
  suspect INTEGER NOT NULL DEFAULT 0,    -- its last lease ended without a settlement
  cancelled INTEGER NOT NULL DEFAULT 0,
  dedup TEXT,
  history TEXT,
  data BLOB NOT NULL
);
CREATE INDEX task_ready ON task (queue, priority DESC, grp, seq) WHERE state = 0;
CREATE INDEX task_due ON task (queue, due) WHERE due IS NOT NULL;
CREATE INDEX task_leased ON task (queue, grp) WHERE state = 2;
CREATE INDEX task_lane ON task (queue, lane, seq) WHERE lane IS NOT NULL;
CREATE INDEX task_by_queue ON task (queue, seq);
CREATE TABLE task_dedup (
  queue INTEGER NOT NULL,
  name TEXT NOT NULL,
  id TEXT NOT NULL,                      -- of the message that has the key
  seq INTEGER,                           -- null: it has ended
  until INTEGER NOT NULL,                -- it is kept for so long all the same
  PRIMARY KEY (queue, name)
) WITHOUT ROWID;
CREATE INDEX task_dedup_over ON task_dedup (until) WHERE seq IS NULL;
-- Messages without rules that were cancelled before anybody claimed them, or while somebody holds them.
CREATE TABLE queue_cancelled (
  seq INTEGER PRIMARY KEY,
  queue INTEGER NOT NULL,
  leased INTEGER NOT NULL
);
CREATE INDEX queue_cancelled_by_queue ON queue_cancelled (queue, leased, seq);
ALTER TABLE lease ADD COLUMN suspect INTEGER NOT NULL DEFAULT 0;  -- an earlier lease ended without a settlement
ALTER TABLE queue_single ADD COLUMN history TEXT;
ALTER TABLE queue_dead ADD COLUMN history TEXT;
ALTER TABLE queue_dead ADD COLUMN carried TEXT;  -- JSON: priority and group, of a task
`

const third = `
-- A purge goes by numbers: those up to these were given by its beginning, and are not given again.
CREATE TABLE queue_numbers (
  singles INTEGER NOT NULL,
  tasks INTEGER NOT NULL
);
INSERT INTO queue_numbers VALUES (0, 0);
`

const fourth = `
-- Schedules. A change is a new row: its version was that of no other state.
CREATE TABLE queue_schedule (
  version INTEGER PRIMARY KEY AUTOINCREMENT,
  queue INTEGER NOT NULL,
  name TEXT NOT NULL,
  due INTEGER NOT NULL,
  last INTEGER,                          -- the due time that it fired for last
  spec TEXT NOT NULL,
  UNIQUE (queue, name)
);
CREATE INDEX queue_schedule_by_due ON queue_schedule (queue, due);
`

const fifth = `
-- What a stream keeps: null for everything.
ALTER TABLE stream ADD COLUMN max_age_ms INTEGER;
ALTER TABLE stream ADD COLUMN max_bytes INTEGER;
-- How large the partitions are whose stream has max_bytes.
CREATE TABLE stream_size (
  stream INTEGER NOT NULL,
  partition INTEGER NOT NULL,
  counted INTEGER NOT NULL,              -- rows below this position are counted
  bytes INTEGER NOT NULL,
  PRIMARY KEY (stream, partition)
) WITHOUT ROWID;
`

const sixth = `
-- Flows. A task of a queue with that rule has its id in flow, so that others can wait for it. State 4: it waits for others, and for nothing
-- else; behind another one of its key (3) it may wait for others too: then waits is 1.
ALTER TABLE task ADD COLUMN flow TEXT;
ALTER TABLE task ADD COLUMN waits INTEGER NOT NULL DEFAULT 0;
ALTER TABLE task ADD COLUMN orphan INTEGER NOT NULL DEFAULT 0;  -- one that it was to wait for is gone
CREATE INDEX task_flow ON task (flow) WHERE flow IS NOT NULL;
ALTER TABLE queue_dead ADD COLUMN flow TEXT;
CREATE INDEX queue_dead_flow ON queue_dead (queue, handle) WHERE flow IS NOT NULL;
CREATE TABLE flow_wait (
  id TEXT NOT NULL,                      -- of the message that is waited for, which may be still to come
  seq INTEGER NOT NULL,                  -- the task that waits
  any_end INTEGER NOT NULL,
  PRIMARY KEY (id, seq)
) WITHOUT ROWID;
CREATE INDEX flow_wait_by_task ON flow_wait (seq);
CREATE TABLE flow_end (
  id TEXT PRIMARY KEY,
  how INTEGER NOT NULL,                  -- 0 done, 1 it is a dead letter, 2 cancelled or purged
  until INTEGER NOT NULL                 -- for so long it is remembered
) WITHOUT ROWID;
CREATE INDEX flow_end_over ON flow_end (until);
-- Messages that were not stored because another one had their deduplication key.
CREATE TABLE flow_stand_in (id TEXT PRIMARY KEY, holder TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX flow_stand_in_by_holder ON flow_stand_in (holder);
CREATE TABLE queue_progress (
  seq INTEGER PRIMARY KEY,
  queue INTEGER NOT NULL,
  token INTEGER NOT NULL,                -- of the lease that it belongs to
  value TEXT NOT NULL
);
CREATE INDEX queue_progress_by_queue ON queue_progress (queue);
CREATE TABLE queue_finished (
  handle INTEGER PRIMARY KEY AUTOINCREMENT,
  queue INTEGER NOT NULL,
  starts INTEGER NOT NULL,
  finished_at INTEGER NOT NULL,
  data BLOB NOT NULL
);
CREATE INDEX queue_finished_by_queue ON queue_finished (queue, handle);
`

const seventh = `
-- The last sequence of each producer.
CREATE TABLE stream_producer (
  stream INTEGER NOT NULL,
  producer TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (stream, producer)
) WITHOUT ROWID;
CREATE INDEX stream_producer_by_at ON stream_producer (at);
`

const eighth = `
-- Not null: of each key the last record is kept.
ALTER TABLE stream ADD COLUMN tombstones_ms INTEGER;
-- Where records stand that compaction has left of a row, from its base: a JSON array; null: one behind the other.
ALTER TABLE stream_batch ADD COLUMN places TEXT;
CREATE TABLE stream_clean (
  stream INTEGER NOT NULL,
  partition INTEGER NOT NULL,
  below INTEGER NOT NULL,                -- below this position no key has more than one record
  kept INTEGER NOT NULL,                 -- how many records that left
  tombstone_at INTEGER,                  -- when the oldest tombstone among them was appended; null: there is none
  PRIMARY KEY (stream, partition)
) WITHOUT ROWID;
`

const ninth = `
-- In the line of its key: below zero before those that came in their turn.
ALTER TABLE task ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
DROP INDEX task_lane;
CREATE INDEX task_lane ON task (queue, lane, turn, seq) WHERE lane IS NOT NULL;
`

/** "Spil" in ASCII: how SQLite's own tools and we recognise the file. */
const applicationId = 0x5370696c

export const storeSchema: FileSchema = {
  version: applicationId,
  migrations: [first, second, third, fourth, fifth, sixth, seventh, eighth, ninth],
}

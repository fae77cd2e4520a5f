// The limit of PostgreSQL from Node: one prepared multi-row insert for each call, arrays as binary parameters, into a
// table with the columns and the index of Spillway's own; one connection, nothing around it.
import pg from 'pg'
import { int4Array, int8Array, textArray } from '../../src/engines/postgres/arrays.ts'
import type { Payload } from '../workloads/payload.ts'
import { type Encoding, encoder, stringified } from './encoded.ts'
import { dropSchema, durabilityOf } from './postgres.ts'
import type { QueueSystem, StreamSystem } from './system.ts'

const schema = 'bare'
const partitions = 8

const messages = {
  table: `create table ${schema}.message (
    id bigint generated always as identity primary key, token bigint not null default 0, due_at timestamptz,
    queue int not null, starts int not null default 0, suspect boolean not null default false,
    message_id text not null, key text, body text not null);
    create index on ${schema}.message (queue, id) where due_at is null;
    create index on ${schema}.message (queue, due_at) where due_at is not null`,
  insert: `insert into ${schema}.message (queue, message_id, body) select 1, * from unnest($1::text[], $2::text[])`,
}

const records = {
  table: `create table ${schema}.record (
    stream int not null, partition int not null, position bigint not null, appended_at bigint not null,
    version bigint, key text collate "C", body text not null, primary key (stream, partition, position));
    create unique index on ${schema}.record (stream, key, version) where version is not null`,
  insert: `insert into ${schema}.record (stream, partition, position, appended_at, body)
    select 1, partition, position, 0, body from unnest($1::int[], $2::bigint[], $3::text[]) t(partition, position, body)`,
}

async function prepare(url: string, { table, insert }: typeof messages) {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(`create schema ${schema}`)
  await client.query(table)
  return {
    durability: await durabilityOf((text) => client.query(text)),
    insert: (values: Buffer[]) => client.query({ name: 'insert', text: insert, values }),
    close: () => client.end(),
  }
}

const clear = (url: string) => dropSchema(url, schema)

export const barePostgresQueue = (encoding: Encoding): QueueSystem => ({
  consumes: false,
  clear,
  async open(url) {
    const { durability, insert, close } = await prepare(url, messages)
    const columns = encoder(encoding, (payloads: readonly Payload[]) => {
      const messages = payloads.map(stringified)
      return [textArray(messages.map(({ id }) => id)), textArray(messages.map(({ body }) => body))]
    })
    return { durability, sendMany: (payloads) => insert(columns(payloads)), close }
  },
})

export const barePostgresStream = (encoding: Encoding): StreamSystem => ({
  reads: false,
  clear,
  async open(url) {
    const { durability, insert, close } = await prepare(url, records)
    const bodies = encoder(encoding, (payloads: readonly Payload[]) =>
      textArray(payloads.map((payload) => stringified(payload).body)),
    )
    let next = 0
    return {
      durability,
      appendMany(payloads) {
        const numbers = payloads.map((_, index) => next + index)
        next += payloads.length
        return insert([
          int4Array(numbers.map((n) => n % partitions)),
          int8Array(numbers.map((n) => Math.floor(n / partitions))),
          bodies(payloads),
        ])
      },
      close,
    }
  },
})

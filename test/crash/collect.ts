// From journals and databases to the histories that are checked.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import pg from 'pg'
import { type Effect, tableOf } from './effects.ts'
import type { Channel, Probe, SentMessage } from './history.ts'
import { journalsIn, readProbes, readSends, readUndone } from './journal.ts'
import type { Role } from './worker/spec.ts'

/** The effects in a service's database, in the order of their commits. */
export type ReadEffects = (service: Role | 'shop') => readonly Effect[] | Promise<readonly Effect[]>

export function sqliteReader(folder: string): ReadEffects {
  return (service) => {
    const path = join(folder, `${service}.db`)
    if (!existsSync(path)) return []
    const db = new DatabaseSync(path, { readOnly: true, timeout: 5_000 })
    try {
      const rows = db.prepare('SELECT channel, id, key, number FROM effect ORDER BY place').all()
      return rows as unknown as Effect[]
    } finally {
      db.close()
    }
  }
}

export function postgresReader(url: string, run: string): ReadEffects {
  return async (service) => {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    try {
      const table = tableOf(run, service)
      const found = await client.query('SELECT to_regclass($1) AS name', [table])
      if (found.rows[0].name === null) return []
      return (await client.query<Effect>(`SELECT channel, id, key, number FROM ${table} ORDER BY place`)).rows
    } finally {
      await client.end()
    }
  }
}

/** The ids of the events in the stream of the shop, as it is on PostgreSQL, each partition in its order. */
export function postgresRecords(url: string, run: string): () => Promise<readonly string[]> {
  return async () => {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    try {
      const found = await client.query<{ id: string }>(
        `SELECT r.body::json->>'id' AS id FROM spillway.record r JOIN spillway.stream s ON s.id = r.stream
        WHERE s.name = $1 ORDER BY r.partition, r.position`,
        [`shop${run}`],
      )
      return found.rows.map(({ id }) => id)
    } finally {
      await client.end()
    }
  }
}

export interface Collected {
  readonly channels: readonly Channel[]
  readonly probes: readonly Probe[]
  /** How many effects there are in all: while nothing moves it stays the same. */
  readonly effects: number
}

/** `roles`: those at work. A channel without who sends or who handles is none. */
export async function collect(
  folder: string,
  roles: ReadonlySet<Role>,
  read: ReadEffects,
): Promise<Collected> {
  const journals = journalsIn(folder)
  const ofRole = (role: Role) => journals.filter((name) => name.startsWith(role))
  const journal = (role: Role): SentMessage[] =>
    ofRole(role).flatMap((name) =>
      readSends(folder, name).map(({ key, number, acknowledged }) => ({
        id: `${key}-${number}`,
        key,
        number,
        sure: acknowledged,
      })),
    )
  const [orders, ledger, audit] = [await read('orders'), await read('ledger'), await read('audit')]
  const [intake, dispatch] = [await read('intake'), await read('dispatch')]
  const ids = (effects: readonly Effect[]) => effects.map(({ id }) => id)
  const only = (channel: string) => ids(ledger.filter((effect) => effect.channel === channel))
  const placed = [...journal('orders'), ...committed(orders)]
  const all: readonly (Channel & { readonly between: readonly [Role, Role] })[] = [
    {
      name: 'orders.placed',
      ordered: true,
      sent: placed,
      effects: only('placed'),
      between: ['orders', 'ledger'],
    },
    {
      name: 'meter.read',
      ordered: true,
      sent: journal('meter'),
      effects: only('read'),
      between: ['meter', 'ledger'],
    },
    {
      name: 'ledger.entered',
      ordered: true,
      sent: inOrder(ledger),
      effects: ids(audit),
      between: ['ledger', 'audit'],
    },
    {
      name: 'intake.jobs',
      ordered: false,
      sent: journal('jobs'),
      effects: ids(intake),
      between: ['jobs', 'intake'],
    },
    {
      name: 'dispatch.parcels',
      ordered: false,
      sent: committed(intake),
      effects: ids(dispatch),
      between: ['intake', 'dispatch'],
    },
  ]
  const channels = all.filter(({ between }) => between.every((role) => roles.has(role)))
  return {
    channels,
    probes: ofRole('probe').flatMap((name) => readProbes(folder, name)),
    effects: orders.length + channels.reduce((sum, channel) => sum + channel.effects.length, 0),
  }
}

/** The same for the scene of the outbox: what was committed is in the database of the shop, what was undone in the journals. */
export async function collectOutbox(
  folder: string,
  queues: boolean,
  read: ReadEffects,
  records?: () => Promise<readonly string[]>,
): Promise<Collected & { readonly undone: number }> {
  const [shop, delivery] = [await read('shop'), await read('delivery')]
  const sent = committed(shop)
  const only = (of: string) => delivery.filter(({ channel }) => channel === of).map(({ id }) => id)
  const channels: Channel[] = [{ name: 'shop.placed', ordered: true, sent, effects: only('placed') }]
  if (queues) channels.push({ name: 'delivery.parcels', ordered: true, sent, effects: only('parcels') })
  // One database for outbox and stream: an event is in the stream once, without anybody who passes over the second.
  if (records)
    channels.push({ name: 'shop.placed, in its stream', ordered: true, sent, effects: await records() })
  const undone = journalsIn(folder).flatMap((name) => readUndone(folder, name)).length
  return { channels, probes: [], effects: shop.length + delivery.length, undone }
}

/** What is stored beside a message in its outbox was committed with it. */
function committed(effects: readonly Effect[]): SentMessage[] {
  return effects.map(({ id, key, number }) => ({ id, key, number, sure: true }))
}

/** The same, in the order of the commits: an event of unknown outcome may have come later than its number says. */
function inOrder(effects: readonly Effect[]): SentMessage[] {
  return effects.map(({ id, key }, index) => ({ id, key, number: index, sure: true }))
}

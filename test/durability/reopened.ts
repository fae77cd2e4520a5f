// What is found when the real engine and the real database open the files that a power failure left.
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { sqliteDatabase } from '../../src/engines/sqlite/database.ts'
import { sqlite } from '../../src/engines/sqlite/engine.ts'
import type { Database } from '../../src/ports/database.ts'
import type { Engine } from '../../src/ports/engine.ts'
import type { QueuePort } from '../../src/ports/queue.ts'
import { bodyOf, names, partitions, places, type Remark } from './remarks.ts'

/** Opens what is in the folder, and returns in words what of the remarks is not true. */
export async function reopen(folder: string, remarks: readonly Remark[]): Promise<string[]> {
  const problems: string[] = []
  try {
    await look(folder, remarks, problems)
  } catch (thrown) {
    problems.push(`it cannot be opened: ${thrown}`)
  }
  return problems
}

async function look(folder: string, remarks: readonly Remark[], problems: string[]): Promise<void> {
  const engine = await sqlite({ path: join(folder, places.engine) })
  const setup = (db: DatabaseSync) =>
    void db.exec('CREATE TABLE IF NOT EXISTS effect (id TEXT NOT NULL, filling TEXT NOT NULL)')
  const database = await sqliteDatabase(join(folder, places.database), { setup }).open('desk')
  try {
    await engine.queue!.declare([names.work, names.parcels])
    await engine.stream!.declare({ name: names.stream, partitions })
    await checkQueue(engine.queue!, remarks, problems)
    await checkStream(engine, remarks, problems)
    await checkDatabase(database, await everything(engine.queue!, names.parcels, problems), remarks, problems)
  } finally {
    await database.close()
    await engine.close()
  }
  for (const file of [join(places.engine, 'spillway.db'), places.database]) {
    const db = new DatabaseSync(join(folder, file))
    const found = Object.values(db.prepare('PRAGMA integrity_check').get() ?? {})[0]
    if (found !== 'ok') problems.push(`${file} is damaged: ${found}`)
    db.close()
  }
}

function of<Act extends Remark['act']>(
  remarks: readonly Remark[],
  act: Act,
): Extract<Remark, { readonly act: Act }>[] {
  return remarks.filter((remark): remark is Extract<Remark, { readonly act: Act }> => remark.act === act)
}

const idsOf = (remarks: readonly { readonly ids: readonly string[] }[]) => remarks.flatMap(({ ids }) => ids)

/** Every message that can be claimed. The leases of the recorded program have ended long ago. */
async function everything(queue: QueuePort, name: string, problems: string[]): Promise<Set<string>> {
  const found = new Set<string>()
  for (;;) {
    const claimed = await queue.claim(name, { limit: 1_000, leaseMs: 60_000, waitMs: 0 })
    if (claimed.length === 0) return found
    for (const { id, body } of claimed) {
      // A relay adds to the envelope what it numbers its messages with.
      const written = name === names.parcels ? `${body.split(',"producerid"')[0]}}` : body
      if (written !== bodyOf(id)) problems.push(`${name}: message ${id} is not as it was sent`)
      found.add(id)
    }
  }
}

async function checkQueue(queue: QueuePort, remarks: readonly Remark[], problems: string[]): Promise<void> {
  const alive = await everything(queue, names.work, problems)
  const dead = new Set((await queue.deadLetters(names.work, { limit: 10_000 })).map(({ id }) => id))
  const ending = new Set(idsOf(of(remarks, 'ending')))
  for (const id of idsOf(of(remarks, 'sent')))
    if (!ending.has(id) && !alive.has(id)) problems.push(`message ${id} was sent and is lost`)
  for (const id of ending)
    if (alive.has(id) && dead.has(id)) problems.push(`message ${id} is alive and a dead letter`)
  for (const id of idsOf(of(remarks, 'done')))
    if (alive.has(id) || dead.has(id)) problems.push(`message ${id} was done and is there again`)
  for (const id of idsOf(of(remarks, 'buried')))
    if (!dead.has(id) || alive.has(id)) problems.push(`message ${id} was dead-lettered and is not there`)
}

async function checkStream(
  { stream }: Engine,
  remarks: readonly Remark[],
  problems: string[],
): Promise<void> {
  const records = new Map<string, string>()
  for (let partition = 0; partition < partitions; partition++)
    for (let position = 0; ; ) {
      const options = { maxRecords: 1_000, maxBytes: 1 << 24, waitMs: 0 }
      const read = await stream!.read(names.stream, [{ partition, position }], options)
      if (read.length === 0) break
      for (const record of read) records.set(`${partition}:${record.position}`, record.body)
      position = read[read.length - 1]!.position + 1
    }
  for (const { partition, position, id } of of(remarks, 'appended'))
    if (records.get(`${partition}:${position}`) !== bodyOf(id))
      problems.push(`event ${id} was appended and is not at ${partition}:${position}`)
  for (const { partition, position } of await stream!.committed(names.stream, names.group)) {
    const ours = of(remarks, 'position').filter((remark) => remark.partition === partition)
    const committed = Math.max(-1, ...ours.map((remark) => remark.position))
    if ((position ?? -1) < committed)
      problems.push(`position ${committed} of partition ${partition} was committed and is forgotten`)
  }
}

async function checkDatabase(
  database: Database<DatabaseSync>,
  parcels: ReadonlySet<string>,
  remarks: readonly Remark[],
  problems: string[],
): Promise<void> {
  const rows = database.db.prepare('SELECT id, filling FROM effect').all() as {
    id: string
    filling: string
  }[]
  const effects = new Map(rows.map(({ id, filling }) => [id, filling]))
  const units = of(remarks, 'unit').map(({ id }) => id)
  const inbox = await database.handled(names.inbox, units)
  const waiting = new Set(
    database.db
      .prepare('SELECT id FROM spillway_desk_outbox')
      .all()
      .map(({ id }) => id),
  )
  for (const id of units) {
    if (effects.get(id) !== bodyOf(id)) problems.push(`the effect of unit ${id} is lost`)
    if (!inbox.ids.has(id)) problems.push(`the inbox entry of unit ${id} is lost`)
    if (!waiting.has(id) && !parcels.has(id)) problems.push(`the message of unit ${id} is lost`)
  }
  // What was relayed must have been committed, for good: or else its handler sends it again, as another message.
  for (const id of parcels)
    if (!effects.has(id)) problems.push(`message ${id} was sent, and its unit is not committed`)
  for (let partition = 0; partition < partitions; partition++) {
    const progress = of(remarks, 'progress').filter((remark) => remark.partition === partition)
    const low = Math.max(-1, ...progress.map((remark) => remark.low))
    const acquired = of(remarks, 'acquired').filter((remark) => remark.partition === partition)
    const given = Math.max(0, ...acquired.map((remark) => remark.generation))
    const { generation, position } = await database.acquire(names.stream, 'desk', partition)
    if (generation <= given) problems.push(`generation ${given} of partition ${partition} is given again`)
    if ((position ?? -1) < low) problems.push(`progress ${low} of partition ${partition} is forgotten`)
  }
}

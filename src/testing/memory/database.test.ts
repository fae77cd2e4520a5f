import assert from 'node:assert/strict'
import { test } from 'vitest'
import { isSpillwayError } from '../../core/errors.ts'
import type { CommitUnit, Database, Destination, OutboxMessage, Progress } from '../../ports/database.ts'
import { fakeClock } from '../fake-clock.ts'
import { memoryDatabase } from './database.ts'
import { MemoryTable } from './table.ts'

type Db = MemoryTable<number>

const emails: Destination = { kind: 'queue', name: 'emails' }
const orders: Destination = { kind: 'stream', name: 'orders' }
const message = (id: string, destination = emails): OutboxMessage => ({
  destination,
  id,
  key: undefined,
  body: id,
})
const unit = (parts: Partial<CommitUnit<Db>> = {}): CommitUnit<Db> => ({
  outbox: [],
  timeoutMs: 1_000,
  ...parts,
})
const inbox = (id: string) => ({ consumer: 'c', ids: [id] })

async function bench(maxRows?: number) {
  const clock = fakeClock()
  const db: Db = new MemoryTable()
  const source = memoryDatabase({ db, clock, ...(maxRows === undefined ? {} : { maxRows }) })
  return { clock, db, source, database: await source.open('shop') }
}

/** Nothing of a unit is stored: neither effects, nor messages, nor the inbox entry, nor progress. */
async function assertNothing(database: Database<Db>, id: string): Promise<void> {
  assert.equal(database.db.size, 0)
  assert.deepEqual(await database.outbox.count(), { waiting: 0, setAside: 0 })
  assert.equal((await database.handled('c', [id])).ids.size, 0)
  assert.equal((await database.acquire('s', 'g', 0)).position, null)
}

test('effects, messages and marks are stored together', async () => {
  const { database, db } = await bench()
  const { generation } = await database.acquire('s', 'g', 0)
  const progress = {
    stream: 's',
    group: 'g',
    partition: 0,
    generation,
    finished: 4,
    low: 5,
    sequences: { p: 9 },
  }
  const effects = (table: Db) => table.set('k', 1)
  assert.equal(
    await database.commit(unit({ effects, outbox: [message('m')], inbox: inbox('x'), progress })),
    'committed',
  )
  assert.equal(db.get('k'), 1)
  assert.deepEqual(await database.outbox.count(), { waiting: 1, setAside: 0 })
  assert.deepEqual((await database.handled('c', ['x', 'y'])).ids, new Set(['x']))
  assert.deepEqual(await database.acquire('s', 'g', 0), {
    generation: generation + 1,
    position: 5,
    finished: [],
    sequences: { p: 9 },
  })
})

test('effects that throw store nothing, and what they threw comes out as it was', async () => {
  const { database } = await bench()
  const { generation } = await database.acquire('s', 'g', 0)
  const progress = { stream: 's', group: 'g', partition: 0, generation, finished: 0, low: 1, sequences: {} }
  const thrown = { what: 'no Error' }
  const effects = (table: Db) => {
    table.set('k', 1)
    throw thrown
  }
  await assert.rejects(
    database.commit(unit({ effects, outbox: [message('m')], inbox: inbox('x'), progress })),
    (error) => error === thrown,
  )
  await assertNothing(database, 'x')
})

test('effects that return a promise are refused: an async function before it starts, another after', async () => {
  const { database } = await bench()
  const asynchronous = (error: unknown) => isSpillwayError(error, 'COMMIT_ASYNC')
  let started = false
  const effects = async () => {
    started = true
  }
  await assert.rejects(
    database.commit(unit({ effects, outbox: [message('m')], inbox: inbox('x') })),
    asynchronous,
  )
  assert.equal(started, false)
  const hidden = (table: Db) => {
    table.set('k', 1)
    return Promise.reject(new Error('nobody hears this'))
  }
  await assert.rejects(
    database.commit(unit({ effects: hidden, outbox: [message('m')], inbox: inbox('x') })),
    asynchronous,
  )
  await assertNothing(database, 'x')
})

test('messages that the effects add to the outbox of the unit are stored with it', async () => {
  const { database } = await bench()
  const outbox: OutboxMessage[] = []
  await database.commit(unit({ effects: () => outbox.push(message('m')), outbox }))
  assert.deepEqual(await database.outbox.count(), { waiting: 1, setAside: 0 })
})

test('a commit from inside effects is a transaction of its own', async () => {
  const { database, db } = await bench()
  let inner: Promise<unknown> | undefined
  const effects = (table: Db) => {
    table.set('k', 1)
    inner = database.commit(unit({ effects: (other) => other.set('k', 2) }))
    throw new Error('outer fails')
  }
  await assert.rejects(database.commit(unit({ effects })), /outer fails/)
  await inner
  assert.deepEqual(db.entries(), [['k', 2]])
})

test('a duplicate and a stale unit run no effects and store nothing', async () => {
  const { database, db } = await bench()
  const old = await database.acquire('s', 'g', 0)
  const held = await database.acquire('s', 'g', 0)
  const progress = { stream: 's', group: 'g', partition: 0, finished: 0, low: 1, sequences: {} }
  const effects = (table: Db) => table.set('k', 1)
  const parts = { effects, outbox: [message('m')], inbox: inbox('x') }
  for (const generation of [old.generation, held.generation + 1])
    assert.equal(await database.commit(unit({ ...parts, progress: { ...progress, generation } })), 'stale')
  const never = { ...progress, group: 'never', generation: 1 }
  assert.equal(await database.commit(unit({ ...parts, progress: never })), 'stale')
  await assertNothing(database, 'x')
  await Promise.all([
    database.commit(unit({ inbox: inbox('x') })),
    database.commit(unit(parts)).then((outcome) => assert.equal(outcome, 'duplicate')),
  ])
  assert.equal(db.size, 0)
  assert.equal((await database.outbox.count()).waiting, 0)
})

test('progress: low only rises, what is finished above it is remembered until low passes it', async () => {
  const { database } = await bench()
  let held = await database.acquire('s', 'g', 0)
  const finish = async (finished: number, low: number, sequences: Progress['sequences'] = {}) => {
    const { generation } = held
    const progress = { stream: 's', group: 'g', partition: 0, generation, finished, low, sequences }
    assert.equal(await database.commit(unit({ progress })), 'committed')
  }
  await finish(7, 3)
  await finish(5, 3)
  held = await database.acquire('s', 'g', 0)
  assert.deepEqual([held.position, held.finished], [3, [5, 7]])
  await finish(3, 6, { p: 4, q: 1 })
  await finish(10, 2, { p: 99 })
  await finish(6, 6, { p: 99 })
  held = await database.acquire('s', 'g', 0)
  assert.deepEqual([held.position, held.finished, held.sequences], [6, [6, 7, 10], { p: 4, q: 1 }])
  await finish(8, 9, { p: 3, r: 2 })
  held = await database.acquire('s', 'g', 0)
  assert.deepEqual([held.position, held.finished, held.sequences], [9, [10], { p: 4, q: 1, r: 2 }])
})

test('the outbox: sequences in the order of commit, rows stay until they are removed', async () => {
  const { database } = await bench()
  const { outbox } = database
  await database.commit(unit({ outbox: [message('a'), message('b', orders)] }))
  await database.commit(unit({ outbox: [message('c'), message('d')] }))
  assert.deepEqual(await outbox.pending(), [emails, orders])
  assert.deepEqual(await outbox.take('relay', emails, 10), [], 'without the lock')
  assert.equal(await outbox.lock('relay', 1_000), true)
  const first = await outbox.take('relay', emails, 2)
  assert.deepEqual(
    first.map(({ id, sequence }) => [id, sequence]),
    [
      ['a', 1],
      ['c', 2],
    ],
  )
  const [b] = await outbox.take('relay', orders, 10)
  assert.equal(b?.sequence, 3)
  const again = await outbox.take('relay', emails, 10)
  assert.deepEqual(
    again.map(({ id, sequence }) => [id, sequence]),
    [
      ['a', 1],
      ['c', 2],
      ['d', 4],
    ],
  )
  await outbox.remove([...first, ...first])
  await outbox.setAside(again[2]!, 'too large')
  await outbox.setAside(again[2]!, 'too large')
  assert.deepEqual(await outbox.count(), { waiting: 1, setAside: 1 })
  assert.deepEqual(await outbox.pending(), [orders])
})

test('the lock: one holder, renewed by itself, free when its time is over or when it is given back', async () => {
  const { database, clock } = await bench()
  const { outbox } = database
  await database.commit(unit({ outbox: [message('a')] }))
  assert.equal(await outbox.lock('one', 1_000), true)
  await clock.advance(900)
  assert.equal(await outbox.lock('two', 1_000), false)
  assert.equal(await outbox.lock('one', 1_000), true)
  await clock.advance(999)
  assert.equal(await outbox.lock('two', 1_000), false)
  await clock.advance(1)
  assert.deepEqual(await outbox.take('one', emails, 1), [])
  assert.equal(await outbox.lock('two', 1_000), true)
  await outbox.unlock('one')
  assert.equal(await outbox.lock('one', 1_000), false)
  await outbox.unlock('two')
  assert.equal(await outbox.lock('one', 1_000), true)
})

test('pruning removes what is older than the time, and no more', async () => {
  const { database, clock } = await bench()
  await database.commit(unit({ inbox: inbox('old') }))
  await clock.advance(1_000)
  await database.commit(unit({ inbox: inbox('new') }))
  assert.equal(await database.prune(clock.now()), 1)
  assert.deepEqual((await database.handled('c', ['old', 'new'])).ids, new Set(['new']))
  assert.equal(await database.commit(unit({ inbox: inbox('old') })), 'committed')
})

test('BACKLOG_FULL rolls back; removing and pruning make room', async () => {
  const { database, clock } = await bench(2)
  const full = (error: unknown) => isSpillwayError(error, 'BACKLOG_FULL')
  const effects = (table: Db) => table.set('k', 1)
  await assert.rejects(
    database.commit(unit({ effects, outbox: [message('a'), message('b')], inbox: inbox('x') })),
    full,
  )
  await assertNothing(database, 'x')
  await database.commit(unit({ outbox: [message('a')], inbox: inbox('x') }))
  await assert.rejects(database.commit(unit({ inbox: inbox('y') })), full)
  await database.outbox.lock('relay', 1_000)
  await database.outbox.remove(await database.outbox.take('relay', emails, 1))
  await clock.advance(1)
  assert.equal(await database.prune(clock.now()), 1)
  await database.commit(unit({ outbox: [message('a')], inbox: inbox('y') }))
})

test('what is stored outlives close; each service has its own', async () => {
  const { database, source } = await bench()
  await database.commit(unit({ inbox: inbox('x'), outbox: [message('a')] }))
  const { producerId } = database.outbox
  await database.close()
  await database.close()
  const closed = (error: unknown) => isSpillwayError(error, 'CLOSED')
  await assert.rejects(database.commit(unit()), closed)
  await assert.rejects(database.outbox.count(), closed)
  const again = await source.open('shop')
  assert.equal(again.outbox.producerId, producerId)
  assert.equal(await again.commit(unit({ inbox: inbox('x') })), 'duplicate')
  const other = await source.open('billing')
  assert.notEqual(other.outbox.producerId, producerId)
  assert.equal((await other.handled('c', ['x'])).ids.size, 0)
  assert.deepEqual(source.setAside('nobody'), [])
})

test('any object can be the handle, with a way to put it back', async () => {
  const db = { charges: [] as string[] }
  const source = memoryDatabase({
    db,
    snapshot: ({ charges }) => {
      const { length } = charges
      return () => charges.splice(length)
    },
  })
  const database = await source.open('billing')
  const base = { outbox: [], timeoutMs: 1_000 }
  await database.commit({ ...base, effects: ({ charges }) => charges.push('kept') })
  await assert.rejects(
    database.commit({
      ...base,
      effects: ({ charges }) => {
        charges.push('undone')
        throw new Error('no')
      },
    }),
    /no/,
  )
  assert.deepEqual(db.charges, ['kept'])
  // @ts-expect-error: an object that cannot be put back needs `snapshot`.
  memoryDatabase({ db })
})

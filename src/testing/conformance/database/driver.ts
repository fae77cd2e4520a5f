// What a driver refuses inside a transaction: promises, when it is synchronous; taking long and outside I/O, when it is not.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { refused } from '../refusal.ts'
import { notBefore, soonMs, timed, within } from '../wait.ts'
import {
  type DatabaseBench,
  type DatabaseCase,
  inbox,
  outgoing,
  ownBench,
  rowIds,
  takeRows,
  toQueue,
  unit,
} from './bench.ts'

/** Fails unless the refused unit `m1` left nothing and the next unit is committed. */
async function nothingStored(bench: DatabaseBench): Promise<void> {
  assert.equal(await bench.rows(), 0, 'effects')
  assert.equal((await bench.two.handled(bench.consumer, ['m1'])).ids.size, 0, 'inbox')
  const next = unit({ effects: bench.inserting('next'), outbox: outgoing(1, toQueue, 'next') })
  assert.equal(await within(soonMs, 'the next unit', bench.one.commit(next)), 'committed')
  assert.deepEqual(rowIds(await takeRows(bench.two)), ['next0'], 'outbox')
}

/** A server of the case's own that says a word, so that outside I/O has somewhere to go. */
async function outside(): Promise<{ readonly port: number; close(): void }> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  assert.ok(address !== null && typeof address === 'object')
  return {
    port: address.port,
    close() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

export const driverCases: readonly DatabaseCase[] = [
  {
    id: 'database.synchronous.promise',
    title: 'a synchronous driver rejects effects that return a promise (COMMIT_ASYNC), and rolls back',
    requires: ['synchronous driver'],
    async run(subject) {
      await using bench = await ownBench(subject)
      const { test, prefix, one } = bench
      const ways: ((db: unknown) => unknown)[] = [
        async (db) => {
          test.insert(db, `${prefix}-a`)
        },
        (db) => {
          test.insert(db, `${prefix}-b`)
          return Promise.resolve(1)
        },
        async (db) => {
          test.insert(db, `${prefix}-c`)
          throw new Error('nobody hears this, and that is no unhandled rejection')
        },
      ]
      for (const effects of ways) {
        const parts = { effects, inbox: inbox(bench, 'm1'), outbox: outgoing(1) }
        await refused('COMMIT_ASYNC', () => one.commit(unit(parts)), 'commit')
      }
      await nothingStored(bench)
    },
  },
  {
    id: 'database.synchronous.promise.others',
    title: 'a unit refused with COMMIT_ASYNC leaves those that were committed with it untouched',
    requires: ['synchronous driver'],
    async run(subject) {
      await using bench = await ownBench(subject)
      const good = (id: string) =>
        bench.one.commit(unit({ effects: bench.inserting(id), inbox: inbox(bench, id) }))
      const bad = bench.one.commit(unit({ effects: async () => 1, inbox: inbox(bench, 'm1') }))
      const outcomes = await Promise.allSettled([good('a'), bad, good('b')])
      assert.deepEqual(
        outcomes.map(({ status }) => status),
        ['fulfilled', 'rejected', 'fulfilled'],
      )
      assert.equal(await bench.rows(), 2)
      assert.deepEqual([...(await bench.two.handled(bench.consumer, ['a', 'b', 'm1'])).ids].sort(), [
        'a',
        'b',
      ])
    },
  },
  {
    id: 'database.asynchronous.timeout',
    title: 'an asynchronous driver rejects after timeoutMs (TRANSACTION_TIMEOUT), not before, and rolls back',
    requires: ['asynchronous driver'],
    async run(subject) {
      await using bench = await ownBench(subject)
      const effects = bench.effects(bench.inserting('a'), () => new Promise(() => {}))
      const parts = { effects, inbox: inbox(bench, 'm1'), outbox: outgoing(1), timeoutMs: 300 }
      const { ms } = await timed(() =>
        refused('TRANSACTION_TIMEOUT', () => bench.one.commit(unit(parts)), 'commit'),
      )
      notBefore(ms, 300, 'refused')
      await nothingStored(bench)
    },
  },
  {
    id: 'database.asynchronous.timeout.late',
    title: 'what effects do after their transaction timed out is not stored',
    requires: ['asynchronous driver'],
    async run(subject) {
      await using bench = await ownBench(subject)
      const gate = Promise.withResolvers<void>()
      const late = Promise.withResolvers<unknown>()
      const effects = async (db: unknown) => {
        await bench.test.insert(db, `${bench.prefix}-early`)
        await gate.promise
        try {
          late.resolve(await bench.test.insert(db, `${bench.prefix}-late`))
        } catch (error) {
          late.resolve(error)
        }
      }
      const parts = { effects, inbox: inbox(bench, 'm1'), timeoutMs: 200 }
      await refused('TRANSACTION_TIMEOUT', () => bench.one.commit(unit(parts)), 'commit')
      gate.resolve()
      await within(soonMs, 'the late insert ends', late.promise)
      await nothingStored(bench)
    },
  },
  {
    id: 'database.asynchronous.timeout.others',
    title: 'while a unit hangs, others of the same process are committed',
    requires: ['asynchronous driver'],
    async run(subject) {
      await using bench = await ownBench(subject)
      const hanging = bench.effects(bench.inserting('a'), () => new Promise(() => {}))
      const timing = refused(
        'TRANSACTION_TIMEOUT',
        () => bench.one.commit(unit({ effects: hanging, timeoutMs: 4_000 })),
        'commit',
      )
      const { ms } = await timed(() => bench.one.commit(unit({ inbox: inbox(bench, 'other') })))
      assert.ok(ms < 3_500, `another took ${ms} ms`)
      await timing
    },
  },
  {
    id: 'database.asynchronous.outside-io',
    title: 'an asynchronous driver rejects effects that start outside I/O (OUTSIDE_IO), and rolls back',
    requires: ['asynchronous driver'],
    async run(subject) {
      await using bench = await ownBench(subject)
      const server = await outside()
      const ways: ((db: unknown) => Promise<unknown>)[] = [
        () => fetch(`http://127.0.0.1:${server.port}/`).then((response) => response.text()),
        async () => {
          const socket = connect(server.port, '127.0.0.1')
          socket.on('error', () => {})
          await once(socket, 'close').catch(() => {})
        },
      ]
      try {
        for (const [index, way] of ways.entries()) {
          const effects = bench.effects(bench.inserting(`a${index}`), way)
          const parts = { effects, inbox: inbox(bench, 'm1'), outbox: outgoing(1) }
          await refused('OUTSIDE_IO', () => bench.one.commit(unit(parts)), `way ${index}`)
        }
        await nothingStored(bench)
      } finally {
        server.close()
      }
    },
  },
  {
    id: 'database.asynchronous.inside-is-fine',
    title:
      'outside I/O that was started before the transaction, or goes on beside it, is no reason to refuse',
    requires: ['asynchronous driver'],
    async run(subject) {
      await using bench = await ownBench(subject)
      const server = await outside()
      try {
        const before = fetch(`http://127.0.0.1:${server.port}/`).then((response) => response.text())
        const beside = Promise.all(
          [1, 2, 3].map(() => fetch(`http://127.0.0.1:${server.port}/`).then((response) => response.text())),
        )
        // Where the case fails before they are waited for, the end of the server ends them.
        for (const request of [before, beside]) request.catch(() => {})
        const effects = bench.effects(bench.inserting('a'), () => before, bench.inserting('b'))
        assert.equal(await bench.one.commit(unit({ effects })), 'committed')
        await beside
        assert.equal(await bench.rows(), 2)
      } finally {
        server.close()
      }
    },
  },
]

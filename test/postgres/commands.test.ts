// Commands on an asynchronous driver: copies in two processes, and a commit whose own answer is lost on the way.
import { afterEach, expect, test, vi } from 'vitest'
import { call } from '../../src/core/call-contract.ts'
import { context } from '../../src/core/contract.ts'
import type { Schema } from '../../src/core/schema.ts'
import type { PgQueryable } from '../../src/engines/postgres/client.ts'
import { postgresDatabase } from '../../src/engines/postgres/database.ts'
import { memory } from '../../src/testing/memory/engine.ts'
import { type Running, run } from '../../src/topology/run.ts'
import { service } from '../../src/topology/service.ts'
import { topology } from '../../src/topology/topology.ts'
import { answersBetween } from './answers-between.ts'
import { looking, onServers } from './on-servers.ts'

/** A validator that takes its time. */
const number: Schema<number> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: async (value) =>
      Number.isInteger(value) ? { value: value as number } : { issues: [{ message: 'no whole number' }] },
  },
}
const orders = context('orders', {
  calls: { place: call({ kind: 'command', input: number, output: number, deadline: '20s' }) },
})
const { place } = orders.calls

/** In front of the server. Once armed, the next transaction is committed there, and who committed it hears nothing of it. */
async function losingAnswers(url: string) {
  let armed = false
  const proxy = await answersBetween(url, () => {
    let lost = false
    return {
      asked(data) {
        if (!armed || !data.toString('latin1').includes(';\ncommit')) return
        armed = false
        lost = true
      },
      answered: (data) => (lost ? undefined : { data }),
    }
  })
  return { ...proxy, arm: () => (armed = true) }
}

const runs: Running[] = []
afterEach(async () => {
  await Promise.all(runs.splice(0).map((each) => each.stop({ deadlineMs: 0 })))
})

await onServers('commands', {}, (server) => {
  async function start(schema: string, url: string, inside: () => unknown = () => {}) {
    const begun: string[] = []
    const database = postgresDatabase({
      url,
      schema,
      setup: (db) => db.query(`create table if not exists ${schema}_placed (number int)`),
    })
    const insert = async (db: PgQueryable, pieces: number) => {
      await db.query(`insert into ${schema}_placed values ($1)`, [pieces])
      await inside()
      const { rows } = await db.query<{ n: number }>(`select count(*)::int as n from ${schema}_placed`)
      return rows[0]!.n
    }
    const answers = service(orders, { database }).answer(place, (pieces, { commit, key }) => {
      begun.push(key)
      return commit(async ({ db }) => (pieces === 13 ? 1.5 : await insert(db, pieces)))
    })
    const running = await run(topology({ contexts: [answers], engine: 'memory:' }), { engine: memory() })
    runs.push(running)
    const ask = async (input: number, key: string, ageMs = 1) => {
      const response = await fetch(`${running.address}/calls/orders.place/1`, {
        method: 'POST',
        body: JSON.stringify(input),
        headers: {
          'content-type': 'application/json',
          'idempotency-key': key,
          'spillway-key-age': String(ageMs),
        },
      })
      const body = await response.json()
      return {
        status: response.status,
        body,
        replayed: response.headers.get('x-idempotent-replay') === 'true',
      }
    }
    return { ask, begun }
  }

  async function placed(schema: string): Promise<number> {
    const pool = looking(server().url)
    const { rows } = await pool.query(`select count(*)::int as n from ${schema}_placed`)
    await pool.end()
    return rows[0].n
  }

  test('a copy in another process waits for the open transaction, and gives the answer that it stored', async () => {
    const gate = Promise.withResolvers<void>()
    const here = await start('copies', server().url, () => gate.promise)
    const there = await start('copies', server().url)
    const first = here.ask(2, 'k1')
    await vi.waitFor(() => expect(here.begun).toEqual(['k1']), { timeout: 10_000 })
    const second = there.ask(2, 'k1', 0)
    await vi.waitFor(() => expect(there.begun).toEqual(['k1']), { timeout: 10_000 })
    gate.resolve()
    expect(await first).toEqual({ status: 200, body: 1, replayed: false })
    expect(await second).toEqual({ status: 200, body: 1, replayed: true })
    expect(await placed('copies')).toBe(1)
    expect(await there.ask(3, 'k1', 0)).toMatchObject({ status: 409, body: { code: 'KEY_REUSED' } })
    expect((await there.ask(13, 'k2')).status).toBe(500)
    expect(await there.ask(4, 'k2')).toEqual({ status: 200, body: 2, replayed: false })
    expect(await placed('copies')).toBe(2)
  })

  test('a commit whose answer is lost is unknown, never failed; the same key gives the one answer', async () => {
    const proxy = await losingAnswers(server().url)
    const { ask } = await start('lost', proxy.url)
    expect((await ask(1, 'k0')).status).toBe(200)
    proxy.arm()
    expect(await ask(2, 'k1', 0)).toMatchObject({ status: 504, body: { code: 'ENGINE_UNAVAILABLE' } })
    await vi.waitFor(
      async () => expect(await ask(2, 'k1')).toEqual({ status: 200, body: 2, replayed: true }),
      { timeout: 15_000 },
    )
    expect(await placed('lost')).toBe(2)
    proxy.close()
  })
})

import { expect, test } from 'vitest'
import type { PgClient, PgPool, PgQuery } from './client.ts'
import { Connection } from './connection.ts'

/** A pool whose one client fails the queries with these texts, and what was asked of it. */
function pretending(failing: Readonly<Record<string, Error>> = {}) {
  const asked: PgQuery[] = []
  const released: (boolean | undefined)[] = []
  const query = async (query: string | PgQuery) => {
    const one = typeof query === 'string' ? { text: query } : query
    asked.push(one)
    if (failing[one.text] !== undefined) throw failing[one.text]
    return { rows: [], rowCount: 0 }
  }
  const client: PgClient = {
    query,
    release: (destroy) => released.push(destroy),
    on() {},
  }
  const pool: PgPool = { query, connect: async () => client }
  return { connection: new Connection(pool, { prepare: false }), asked, released }
}

const refused = Object.assign(new Error('refused'), { code: '23505' })

test('no query of a transaction is waited for without a bound: not the commit either, nor the rollback', async () => {
  for (const failing of [{}, { 'select 1': refused }]) {
    const { connection, asked } = pretending(failing)
    await connection.transaction((run) => run({ name: 'n', text: 'select 1' }, [])).catch(() => {})
    expect(asked).toHaveLength(3)
    for (const { query_timeout } of asked) expect(query_timeout).toBeGreaterThan(0)
  }
})

test('a connection that did not answer is given up, one that was answered is kept', async () => {
  for (const [failing, destroyed] of [
    [{ 'select 1': refused }, false],
    [{ commit: new Error('Query read timeout') }, true],
    [{ 'select 1': refused, rollback: new Error('Query read timeout') }, true],
  ] as const) {
    const { connection, released } = pretending(failing)
    const done = connection.transaction((run) => run({ name: 'n', text: 'select 1' }, []))
    await expect(done).rejects.toThrow()
    expect(released).toEqual([destroyed])
  }
})

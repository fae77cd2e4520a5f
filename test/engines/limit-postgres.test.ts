// The arithmetic in PL/pgSQL against that of `core/bucket`, at times that are chosen; and sweeping at them.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { logOf } from '../../src/core/bucket/log.ts'
import { checkOut, createPool, type OwnPool, type PgResult } from '../../src/engines/postgres/client.ts'
import { postgres } from '../../src/engines/postgres/engine.ts'
import { engineTables } from '../../src/engines/postgres/engine-tables.ts'
import {
  type ExchangeRow,
  exchangeText,
  exchangeValues,
  verdictsOf,
} from '../../src/engines/postgres/limit-call.ts'
import { migrate } from '../../src/engines/postgres/migrations.ts'
import type { Engine } from '../../src/ports/engine.ts'
import type { LimitExchange, LimitVerdict } from '../../src/ports/limit.ts'
import { embeddedPostgres, type RunningServer, systemPostgres } from '../servers/index.ts'
import { compareWithArithmetic } from './random-exchanges.ts'

const soon = { timeout: 20_000, interval: 20 }

describe.each([systemPostgres, embeddedPostgres])('$name', (launcher) => {
  let server: RunningServer | undefined
  let pool: OwnPool | undefined
  beforeAll(async () => {
    if ((await launcher.missing()) !== undefined) return
    server = await launcher.start()
    pool = await createPool({ url: server.url, size: 2 })
    const client = await checkOut(pool)
    await migrate(client, 'spillway', engineTables)
    client.release()
  })
  afterAll(async () => {
    await pool?.end()
    await server?.stop()
  })

  async function decide(requests: readonly LimitExchange[], nowUs: number): Promise<readonly LimitVerdict[]> {
    const result = await pool!.query({
      text: exchangeText('"spillway"'),
      values: exchangeValues(requests, nowUs),
    })
    return verdictsOf(requests, (result as PgResult<ExchangeRow>).rows[0]!)
  }

  test('answers as the arithmetic does, to the last unit', async ({ skip }) => {
    if (pool === undefined) skip('there is no such server here')
    await compareWithArithmetic(decide, { steps: 250 })
  })

  test('a sweep forgets by the time that is believed, not by a clock of the server that stepped forth', async ({
    skip,
  }) => {
    if (pool === undefined) skip('there is no such server here')
    const [hourUs, noonUs] = [3_600_000_000, 1_500_000_000_000_000]
    const kinds = {
      log: logOf(5, hourUs),
      calendar: { kind: 'calendar-window', limit: 5, endUs: noonUs + hourUs },
    } as const
    const asks = Object.entries(kinds).map(([bucket, algorithm]) => ({
      ...{ bucket, algorithm, used: 0, cost: 5, hold: 0 },
    }))
    const request = { holder: 'h', leaseMs: 1_000, asks }
    expect((await decide([request], noonUs))[0]).toMatchObject({ allowed: true })
    const sweep = async (latestUs: number) => {
      await pool!.query({ text: `select * from spillway.limit_sweep('', 500, $1)`, values: [latestUs] })
      const result = await pool!.query({
        text: `select name from spillway.bucket where name = any('{log,calendar}') order by name`,
        values: [],
      })
      return (result as PgResult<{ name: string }>).rows.map(({ name }) => name)
    }
    expect(await sweep(noonUs + hourUs - 1)).toEqual(['calendar', 'log'])
    expect(await sweep(noonUs + hourUs)).toEqual(['calendar'])
    // Its window may not be over by the clocks of those who ask, for as long as they do.
    await decide([{ ...request, asks: [{ ...asks[1]!, cost: 0 }] }], noonUs + 24 * hourUs)
    expect(await sweep(noonUs + 25 * hourUs)).toEqual(['calendar'])
    expect(await sweep(noonUs + 48 * hourUs)).toEqual([])
  })

  test('who finds a bucket swept away while he waited for another begins anew, and waits for nobody who waits for him', async ({
    skip,
  }) => {
    if (pool === undefined) skip('there is no such server here')
    const names = ['order a', 'order b']
    const asks = names.map((bucket) => ({
      bucket,
      algorithm: logOf(5, 86_400_000_000),
      used: 0,
      cost: 1,
      hold: 0,
    }))
    const open = async () => await postgres({ url: server!.url })
    await using one = closing(await open())
    await using two = closing(await open())
    const ask = async ({ limit }: Engine) =>
      (await limit!.exchange([{ holder: 'h', leaseMs: 1_000, asks }]))[0]!.allowed
    await ask(one.engine)
    const client = await checkOut(pool!)
    const query = async (text: string) =>
      ((await client.query({ text, values: [] })) as PgResult<{ waiting: number }>).rows[0]?.waiting
    const waiting = (count: number) =>
      vi.waitFor(async () => {
        const text = `select count(*)::int as waiting from pg_stat_activity where wait_event_type = 'Lock'`
        expect(await query(text)).toBe(count)
      }, soon)
    await query('begin')
    await query(`select 1 from spillway.bucket where name = 'order a' for update`)
    const first = ask(one.engine)
    await waiting(1)
    const sweeper = await checkOut(pool!)
    await sweeper.query({ text: `delete from spillway.bucket where name = 'order b'`, values: [] })
    sweeper.release()
    const second = ask(two.engine)
    await waiting(2)
    await query('rollback')
    client.release()
    expect(await Promise.all([first, second])).toHaveLength(2)
    expect(readFileSync(join(server!.folder, 'server.log'), 'utf8')).not.toContain('deadlock detected')
  })
})

function closing(engine: Engine): { readonly engine: Engine } & AsyncDisposable {
  return { engine, [Symbol.asyncDispose]: () => engine.close() }
}

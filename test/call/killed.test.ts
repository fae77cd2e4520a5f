// Who answers commands is killed at random, and every caller asks again with its key until it has an answer: each work is done once, and
// everybody has the one true answer, on SQLite and on PostgreSQL. With a new key each time the same run does work twice: it would be seen.
// SPILLWAY_KILLS=100 npm test -- test/call/killed.test.ts goes on for longer.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { looking } from '../postgres/on-servers.ts'
import { embeddedPostgres, firstOf, type RunningServer, systemPostgres } from '../servers/index.ts'
import { saleTable } from './till.ts'

const folder = mkdtempSync(join(tmpdir(), 'spillway-killed-'))
let server: ChildProcess | undefined
let places = 0
const manyKills = Number(process.env.SPILLWAY_KILLS ?? 2)
afterEach(() => {
  server?.kill('SIGKILL')
})

afterAll(() => rmSync(folder, { recursive: true }))

interface Sale {
  readonly item: string
  readonly number: number
}

/** Where sales are kept. */
interface Kept {
  /** What the process is given. */
  readonly place: string
  sales(): Promise<Sale[]>
}

async function start(place: string): Promise<string> {
  server = fork(join(import.meta.dirname, 'answering-process.ts'), [place], {
    execArgv: ['--no-warnings', '--conditions=@spillway/source'],
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  const [address] = (await once(server, 'message')) as [string]
  return address
}

/** Sells so many items while the server is killed again and again. Answers by item; and the sales as they were stored. */
async function sellWhileKilled(
  { place, sales }: Kept,
  items: number,
  kills: number,
  keyOf: (item: string, time: number) => string,
) {
  let address = await start(place)
  const answers = new Map<string, number>()
  let cut = 0
  const sell = async (item: string): Promise<void> => {
    for (let time = 1; ; time++) {
      const response = await fetch(`${address}/calls/till.sell/1`, {
        method: 'POST',
        body: JSON.stringify({ item }),
        headers: {
          'content-type': 'application/json',
          'idempotency-key': keyOf(item, time),
          'spillway-key-age': time === 1 ? '0' : '1',
        },
      }).catch(() => undefined)
      const body =
        response?.status === 200
          ? ((await response.json().catch(() => undefined)) as { number: number } | undefined)
          : undefined
      if (body) return void answers.set(item, body.number)
      cut += 1
      await sleep(20)
    }
  }
  const all = Array.from({ length: items }, (_, index) => `item ${index}`)
  let next = 0
  const seller = async () => {
    while (next < all.length) await sell(all[next++]!)
  }
  let done = false
  const killer = async () => {
    for (let kill = 0; kill < kills && !done; kill++) {
      await sleep(100 + Math.random() * 150)
      const dying = server!
      dying.kill('SIGKILL')
      await once(dying, 'exit')
      address = await start(place)
    }
  }
  const killing = killer()
  await Promise.all(Array.from({ length: 8 }, seller))
  done = true
  await killing
  server!.kill('SIGKILL')
  await once(server!, 'exit')
  return { answers, sales: await sales(), cut }
}

function onSqlite(): Kept {
  const place = join(folder, `till${++places}.db`)
  return {
    place,
    async sales() {
      const db = new DatabaseSync(place)
      const sales = db.prepare('SELECT item, number FROM sale').all()
      db.close()
      return sales as unknown as Sale[]
    },
  }
}

function onPostgres(server: string): Kept {
  const url = new URL(server)
  url.searchParams.set('schema', `till${++places}`)
  const place = url.href
  return {
    place,
    async sales() {
      const pool = looking(server)
      const { rows } = await pool.query<Sale>(`select item, number from ${saleTable(place)}`)
      await pool.end()
      return rows
    },
  }
}

function killed(keep: () => Kept): void {
  const timeout = 60_000 + 2_000 * manyKills

  test('each item is sold once, and its seller has its number', { timeout }, async () => {
    const items = 30 * manyKills
    const key = (item: string) => item.replace(' ', '-')
    const { answers, sales, cut } = await sellWhileKilled(keep(), items, manyKills, key)
    expect(cut).toBeGreaterThan(0)
    expect(new Map(sales.map(({ item, number }) => [item, number]))).toEqual(answers)
    expect(sales.length).toBe(items)
  })

  test('with a new key each time, some are sold twice', { timeout: 60_000, retry: 3 }, async () => {
    const key = (item: string, time: number) => `${item.replace(' ', '-')}-${time}`
    const { sales } = await sellWhileKilled(keep(), 60, 1, key)
    expect(sales.length).toBeGreaterThan(60)
  })
}

describe('commands (SQLite)', () => killed(onSqlite))

const [launcher, missing] = await firstOf(embeddedPostgres, systemPostgres)
describe.skipIf(missing !== undefined)(`commands (${missing ?? launcher.name})`, () => {
  let postgres: RunningServer | undefined
  beforeAll(async () => {
    postgres = await launcher.start()
  })
  afterAll(() => postgres?.stop())
  killed(() => onPostgres(postgres!.url))
})

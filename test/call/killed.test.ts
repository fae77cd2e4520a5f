// Who answers commands is killed at random, and every caller asks again with its key until it has an answer: each work is done once, and
// everybody has the one true answer. With a new key each time the same run does work twice: it would be seen.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, expect, test } from 'vitest'

const folder = mkdtempSync(join(tmpdir(), 'spillway-killed-'))
let server: ChildProcess | undefined
let files = 0
afterEach(() => {
  server?.kill('SIGKILL')
})

afterAll(() => rmSync(folder, { recursive: true }))

async function start(file: string): Promise<string> {
  server = fork(join(import.meta.dirname, 'answering-process.ts'), [file], {
    execArgv: ['--no-warnings', '--conditions=@spillway/source'],
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  const [address] = (await once(server, 'message')) as [string]
  return address
}

/** Sells so many items while the server is killed again and again. Answers by item; and the sales as they were stored. */
async function sellWhileKilled(
  name: string,
  items: number,
  kills: number,
  keyOf: (item: string, time: number) => string,
) {
  const file = join(folder, `${name}-${++files}.db`)
  let address = await start(file)
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
      address = await start(file)
    }
  }
  const killing = killer()
  await Promise.all(Array.from({ length: 8 }, seller))
  done = true
  await killing
  server!.kill('SIGKILL')
  await once(server!, 'exit')
  const db = new DatabaseSync(file)
  const sales = db.prepare('SELECT item, number FROM sale').all() as { item: string; number: number }[]
  db.close()
  return { answers, sales, cut }
}

test('each item is sold once, and its seller has its number', { timeout: 60_000 }, async () => {
  const { answers, sales, cut } = await sellWhileKilled('once', 60, 2, (item) => item.replace(' ', '-'))
  expect(cut).toBeGreaterThan(0)
  expect(new Map(sales.map(({ item, number }) => [item, number]))).toEqual(answers)
  expect(sales.length).toBe(60)
})

test('with a new key each time, some are sold twice', { timeout: 60_000, retry: 3 }, async () => {
  const { sales } = await sellWhileKilled('twice', 60, 1, (item, time) => `${item.replace(' ', '-')}-${time}`)
  expect(sales.length).toBeGreaterThan(60)
})

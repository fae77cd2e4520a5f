// What users test with must work on every engine that they run: spies hear of queues and streams on the real ones.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sqliteDatabase } from '../../src/engines/sqlite/index.ts'
import { context, deadLetter, event, queue, run, service, topology, unchecked } from '../../src/index.ts'
import { handlerSpy } from '../../src/testing/index.ts'
import {
  embeddedPostgres,
  firstOf,
  kafka,
  nats,
  packagedNats,
  type RunningServer,
  systemPostgres,
} from '../servers/index.ts'

const orders = context('orders', {
  events: { placed: event({ data: unchecked<{ id: string }>(), key: ({ id }) => id }) },
})
const billing = context('billing', {
  queues: { receipt: queue({ data: unchecked<{ id: string }>(), retry: { attempts: 2, initial: '10ms' } }) },
})

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'spy-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const servers = {
  postgres: await firstOf(embeddedPostgres, systemPostgres),
  nats: await firstOf(nats, packagedNats),
  kafka: await firstOf(kafka),
}

test('sqlite', { timeout: 60_000 }, () => proven(`sqlite:${join(folder, 'sqlite')}`))

for (const [name, [launcher, missing]] of Object.entries(servers))
  describe.skipIf(missing !== undefined)(`${name} (${missing ?? launcher.name})`, () => {
    let server: RunningServer | undefined
    beforeAll(async () => {
      server = await launcher.start()
    })
    afterAll(() => server?.stop())
    test('queue and stream', { timeout: 120_000 }, () =>
      name === 'kafka' ? proven(`sqlite:${join(folder, 'beside')}`, server!.url) : proven(server!.url),
    )
  })

async function proven(engine: string, streams?: string): Promise<void> {
  const file = (name: string) => sqliteDatabase(join(mkdtempSync(join(folder, 'db-')), `${name}.db`))
  const seller = service(orders, { database: file('orders') })
  const biller = service(billing, { database: file('billing') })
    .on(orders.events.placed, ({ data }, { send }) => send(billing.queues.receipt, data))
    .work(billing.queues.receipt, ({ data }, { attempt }) => {
      if (data.id === 'unknown') return deadLetter('no such order')
      if (attempt === 1) throw new Error('the printer is busy')
    })
  const spy = handlerSpy()
  const all = { contexts: [seller, biller], engine, partitions: 2, ...(streams ? { streams } : {}) }
  const running = await run(topology(all), { onSettled: spy })
  try {
    await running.service(seller).transaction((tx) => {
      for (const id of ['4711', 'unknown']) tx.publish(orders.events.placed, { id })
    })
    const within = '60s'
    await spy.until(orders.events.placed, 'done', { nth: 2, within })
    const where = ({ data }: { data: { id: string } }) => data.id === '4711'
    const retried = await spy.until(billing.queues.receipt, 'retried', { where, within })
    expect(retried).toMatchObject({ attempt: 1, reason: 'the printer is busy', by: 'billing' })
    await spy.until(billing.queues.receipt, 'done', { where, within })
    const dead = await spy.until(billing.queues.receipt, 'dead-lettered', { within })
    expect(dead).toMatchObject({ reason: 'no such order', message: { data: { id: 'unknown' } } })
    expect(await running.queue(billing.queues.receipt).deadLetters()).toHaveLength(1)
  } finally {
    await running.stop()
  }
}

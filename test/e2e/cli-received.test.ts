// The command line shows what services have received and keep as one with their queues.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { open, unchecked } from '../../src/index.ts'
import { command } from './spillway-process.ts'

const config = `
  import { context, queue, service, topology, unchecked } from ${JSON.stringify(resolve('src/index.ts'))}
  import { sqliteDatabase } from ${JSON.stringify(resolve('src/engines/sqlite/index.ts'))}
  const billing = context('billing', { queues: { receipt: queue({ data: unchecked() }) } })
  const database = sqliteDatabase('billing.db')
  const billings = service(billing, { database, inbox: { mode: 'store' } }).work(billing.queues.receipt, () => {})
  export default topology({ contexts: [billings], engine: 'sqlite:./data' })
`
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spillway-received-'))
  await writeFile(join(folder, 'spillway.config.ts'), config)
})
afterAll(() => rm(folder, { recursive: true }))

test('ls, dead and redrive, also before anything was kept', { timeout: 60_000 }, async () => {
  const json = async (...args: readonly string[]) => {
    const { out, err, code } = await command(folder, 'queue', ...args, '--json')
    expect({ err, code }).toEqual({ err: '', code: 0 })
    return JSON.parse(out)
  }
  {
    await using spillway = await open(`sqlite:${join(folder, 'data')}`)
    await (await spillway.queue('billing.receipt', { data: unchecked<number>() })).send(1)
  }
  expect((await json('ls')).queues).toMatchObject([{ name: 'billing.receipt', ready: 1, dead: 0 }])
  {
    await using kept = await open(`sqlite:${join(folder, 'billing.db.inbox')}`)
    const queue = await kept.queue('billing.receipt.received', { data: unchecked<number>() })
    await queue.sendMany([2, 3])
    const port = kept.engine.queue!
    const [claimed] = await port.claim(queue.name, { limit: 1, leaseMs: 60_000, waitMs: 1_000 })
    await port.settle(queue.name, [{ lease: claimed!.lease, kind: 'dead-letter', reason: 'no such user' }])
  }
  expect((await json('ls')).queues).toMatchObject([{ name: 'billing.receipt', ready: 2, dead: 1 }])
  const { deadLetters } = await json('dead', 'billing.receipt')
  expect(deadLetters).toMatchObject([{ reason: 'no such user' }])
  await command(folder, 'queue', 'redrive', 'billing.receipt', deadLetters[0].handle)
  expect((await json('ls')).queues).toMatchObject([{ name: 'billing.receipt', ready: 3, dead: 0 }])
})

// The inbox of a running service: what is too old is parked on the engine, and runs when a person redrives it.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { systemClock } from '../core/clock.ts'
import { context, queue } from '../core/contract.ts'
import { unchecked } from '../core/schema.ts'
import { sqliteDatabase } from '../engines/sqlite/database.ts'
import { run } from './run.ts'
import { service } from './service.ts'
import { topology } from './topology.ts'

const office = context('office', { queues: { file: queue({ data: unchecked<string>() }) } })
const { file } = office.queues
const day = 86_400_000

const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

test.each([1, 5])('too old for the inbox, redriven (batches of %i)', async (size) => {
  const folder = mkdtempSync(join(tmpdir(), 'spillway-inbox-'))
  folders.push(folder)
  const ran: string[] = []
  const database = sqliteDatabase(join(folder, 'office.db'))
  const begun = service(office, { database, inbox: { keep: '2d' } })
  const offices =
    size === 1
      ? begun.work(file, ({ data }) => void ran.push(data))
      : begun.workBatch(file, (messages) => void ran.push(...messages.map(({ data }) => data)), { size })
  const wired = topology({ contexts: [offices], engine: `sqlite:${join(folder, 'engine')}` })

  const past = { ...systemClock, now: () => Date.now() - 3 * day }
  const before = await run(wired, { only: [], clock: past })
  await before.queue(file).send('old')
  await before.queue(file).send('delayed', { at: new Date(Date.now() - day) })
  await before.stop()

  const reports: string[] = []
  await using running = await run(wired, { onReport: ({ error }) => reports.push(error.code) })
  await running.queue(file).send('new')
  await vi.waitFor(
    async () => {
      expect(ran.toSorted()).toEqual(['new'])
      expect(reports).toEqual(['TOO_OLD'])
      expect(await running.queue(file).count()).toMatchObject({ dead: 1, delayed: 1, ready: 0, leased: 0 })
    },
    { timeout: 20_000 },
  )
  const [dead] = await running.queue(file).deadLetters()
  expect(dead!.reason).toContain('[TOO_OLD]')
  expect(await running.queue(file).redrive(dead!.handle)).toBe(1)
  await vi.waitFor(() => expect(ran.toSorted()).toEqual(['new', 'old']), { timeout: 20_000 })
})

test('an inbox without a database, or with a time that is none, is refused', () => {
  expect(() => service(office, { inbox: { keep: '1d' } })).toThrow(/no `database`/)
  const database = sqliteDatabase('unused.db')
  expect(() => service(office, { database, inbox: { keep: '1ms' } })).toThrow(/at least a second/)
  expect(() => service(office, { database, inbox: { keeps: '1d' } as object })).toThrow(/keep/)
})

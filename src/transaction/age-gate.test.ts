// What is too old for the inbox is not run: one by one and in batches, also where nobody could know that it is a copy.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { context, queue } from '../core/contract.ts'
import type { Message } from '../core/message.ts'
import type { Report } from '../core/report.ts'
import { unchecked } from '../core/schema.ts'
import { BatchDelivery } from '../queue/batch.ts'
import { Delivery } from '../queue/delivery.ts'
import { type FakeClock, fakeClock } from '../testing/fake-clock.ts'
import { memoryDatabase } from '../testing/memory/database.ts'
import { MemoryTable } from '../testing/memory/table.ts'
import { clockMarginMs, keepMsOf, tooOld } from './age-gate.ts'
import { batchWorkHandler } from './batch-handler.ts'
import { workHandler } from './handler.ts'
import type { UnitHome } from './unit.ts'

const { go } = context('shop', { queues: { go: queue({ data: unchecked<string>() }) } }).queues
const day = 86_400_000
const start = Date.UTC(2026, 0, 1)

interface Given {
  readonly id: string
  readonly sentAt?: number
  readonly notBefore?: number
  readonly redrivenAt?: number
}

function messageOf({ id, sentAt = start, notBefore }: Given): Message<string> {
  const notbefore = notBefore === undefined ? {} : { notbefore: new Date(notBefore).toISOString() }
  return {
    id,
    type: 'shop.go',
    time: new Date(sentAt).toISOString(),
    data: id,
    ...notbefore,
  } as Message<string>
}

function deliveryOf({ id, redrivenAt }: Given): Delivery {
  const message = { id, key: undefined, body: '', starts: 1, suspect: false, lease: id, fencingToken: 1 }
  const told = redrivenAt === undefined ? message : { ...message, redrivenAt }
  return new Delivery({ message: told, heldUntil: 1 }, { left: 1, startedAt: 0 }, 1)
}

async function home(clock: FakeClock, reports: Report[] = []): Promise<UnitHome<MemoryTable<number>>> {
  return {
    context: 'shop',
    clock,
    database: await memoryDatabase({ db: new MemoryTable<number>(), clock }).open('shop'),
    deliver: async () => {},
    cancel: async () => 'unknown',
    onReport: (report) => reports.push(report),
    timeoutMs: 1_000,
    keepMs: keepMsOf(),
  }
}

test('what could be handled for longer than is remembered is parked, and says that redriving runs it', async () => {
  const clock = fakeClock(start)
  const reports: Report[] = []
  const to = await home(clock, reports)
  const ran: string[] = []
  const handle = (given: Given) =>
    workHandler(to, go, ({ id }) => void ran.push(id))(messageOf(given), deliveryOf(given))
  await clock.advance('7d')
  expect(await handle({ id: 'just in time' })).toBeUndefined()
  await clock.advance(1)
  const parked = await handle({ id: 'late' })
  expect(parked).toMatchObject({ outcome: 'dead-letter', reason: expect.stringContaining('[TOO_OLD]') })
  expect((parked as { reason: string }).reason).toContain('Redriving it runs it')
  expect(reports).toMatchObject([{ error: { code: 'TOO_OLD' }, messageId: 'late' }])
  // It did not count as handled: the same message, redriven, runs.
  expect(await handle({ id: 'late', redrivenAt: clock.now() })).toBeUndefined()
  expect(await handle({ id: 'a delay of ten days', notBefore: start + 10 * day })).toBeUndefined()
  expect(ran).toEqual(['just in time', 'late', 'a delay of ten days'])
  await clock.advance('30d')
  // What is known to be handled is done, however old.
  expect(await handle({ id: 'just in time' })).toBeUndefined()
  expect(await handle({ id: 'redriven long ago', redrivenAt: start + 2 * day })).toHaveProperty('outcome')
  expect(ran.length).toBe(3)
})

test('what was set aside in an outbox for longer than is remembered is as young as its being put back', async () => {
  const clock = fakeClock(start)
  const to = await home(clock)
  await clock.advance('20d')
  const put = (at: number) => ({ ...messageOf({ id: 'm' }), redriventime: new Date(at).toISOString() })
  expect(tooOld(to, put(clock.now() - 7 * day), {})).toBeUndefined()
  expect(tooOld(to, put(clock.now() - 7 * day - 1), {})).toMatchObject({ code: 'TOO_OLD' })
  expect(tooOld(to, messageOf({ id: 'm' }), {})).toMatchObject({ code: 'TOO_OLD' })
})

test('in a batch each is judged by itself, also copies of one message', async () => {
  const clock = fakeClock(start)
  const to = await home(clock)
  await clock.advance('8d')
  const ran: string[] = []
  const given: Given[] = [
    { id: 'old' },
    { id: 'twice' },
    { id: 'young', sentAt: clock.now() },
    { id: 'twice', redrivenAt: clock.now() },
  ]
  const handler = batchWorkHandler(to, go, (messages, { deliveries }) => {
    ran.push(...messages.map(({ id }, place) => `${id} ${deliveries[place]!.redrivenAt !== undefined}`))
  })
  const results = await handler(given.map(messageOf), new BatchDelivery(given.map(deliveryOf)))
  expect(ran).toEqual(['young false', 'twice true'])
  const old = { outcome: 'dead-letter', reason: expect.stringContaining('[TOO_OLD]') }
  expect(results).toEqual([old, old, undefined, undefined])
})

test('a longer window does not run what a shorter one has forgotten, one by one and in batches', async () => {
  const clock = fakeClock(start)
  const short = { ...(await home(clock)), keepMs: 3_600_000 }
  const ran: string[] = []
  const consume = (to: typeof short, given: Given) =>
    workHandler(to, go, ({ id }) => void ran.push(id))(messageOf(given), deliveryOf(given))
  await consume(short, { id: 'a' })
  await clock.advance('2d')
  expect(await short.database!.prune(clock.now() - short.keepMs - clockMarginMs)).toBe(1)
  const reports: Report[] = []
  const long = { ...short, keepMs: keepMsOf('7d'), onReport: (report: Report) => void reports.push(report) }
  const old = { outcome: 'dead-letter', reason: expect.stringContaining('with a shorter `keep`, forgot') }
  expect(await consume(long, { id: 'a' })).toEqual(old)
  const batch = batchWorkHandler(long, go, (messages) => void ran.push(...messages.map(({ id }) => id)))
  const given: Given[] = [
    { id: 'a' },
    { id: 'b', sentAt: clock.now() - day + 1 },
    { id: 'c', redrivenAt: clock.now() },
  ]
  expect(await batch(given.map(messageOf), new BatchDelivery(given.map(deliveryOf)))).toEqual([
    old,
    undefined,
    undefined,
  ])
  expect(ran).toEqual(['a', 'b', 'c'])
  expect(reports.map(({ error, messageId }) => [error.code, messageId])).toEqual([
    ['TOO_OLD', 'a'],
    ['TOO_OLD', 'a'],
  ])
})

test('a message that does not tell when it was sent is parked; without an inbox nothing is', () => {
  const { time: _, ...untimed } = messageOf({ id: 'x' })
  expect(tooOld({ keepMs: day }, untimed as Message, {})).toMatchObject({ code: 'TOO_OLD' })
  expect(tooOld({}, untimed as Message, {})).toBeUndefined()
  expect(() => keepMsOf('10ms')).toThrow(/at least a second/)
})

/** One message and a copy of it, with clocks that are not the same: those of sender, receiver and database. */
const histories = fc.record({
  keepMs: fc.integer({ min: 1_000, max: 3 * day }),
  /** By how much the window is longer when the copy comes: `keep` was raised, or another process uses another. */
  raisedBy: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 10 * day })),
  senderSkew: fc.integer({ min: -clockMarginMs / 2, max: clockMarginMs / 2 }),
  databaseSkew: fc.integer({ min: -clockMarginMs / 2, max: clockMarginMs / 2 }),
  delay: fc.constantFrom(0, day, 10 * day),
  redrivenAfter: fc.option(fc.integer({ min: 0, max: 5 * day }), { nil: undefined }),
  handledAfter: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 2 * day })),
  /** After the time for which is remembered. */
  prunedAfter: fc.integer({ min: -day, max: 3 * day }),
  copyAfter: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 2 * day })),
})

test('a copy whose entry was pruned is never run, whatever the clocks say within the margin', async () => {
  let copiesOfTheForgotten = 0
  let onlyByTheNote = 0
  await fc.assert(
    fc.asyncProperty(histories, async (history) => {
      const clock = fakeClock(start)
      const databaseClock = { ...clock, now: () => clock.now() + history.databaseSkew }
      const database = await memoryDatabase({ db: new MemoryTable<number>(), clock: databaseClock }).open('s')
      const given: Given = {
        id: 'm',
        sentAt: start + history.senderSkew,
        ...(history.delay === 0 ? {} : { notBefore: start + history.senderSkew + history.delay }),
      }
      await clock.advance(history.delay)
      const redrive = history.redrivenAfter
      if (redrive !== undefined) await clock.advance(redrive)
      const told = redrive === undefined ? {} : { redrivenAt: clock.now() + history.senderSkew }
      await clock.advance(history.handledAfter)
      const may = (keepMs: number, prunedUpTo?: number) =>
        !tooOld({ keepMs, clock }, messageOf(given), told, prunedUpTo)
      if (!may(history.keepMs)) return
      const inbox = { consumer: 'q', ids: ['m'] }
      assert.equal(await database.commit({ inbox, outbox: [], timeoutMs: 1 }), 'committed')
      await clock.advance(Math.max(0, history.keepMs + history.prunedAfter))
      const pruned = await database.prune(clock.now() - history.keepMs - clockMarginMs)
      await clock.advance(history.copyAfter)
      copiesOfTheForgotten += pruned
      const { prunedUpTo } = await database.handled('q', ['m'])
      const later = history.keepMs + history.raisedBy
      if (pruned > 0) {
        assert.ok(!may(history.keepMs), 'the gate was closed before the entry went')
        assert.ok(!may(later, prunedUpTo), 'it stays closed when the window is longer')
        if (may(later)) onlyByTheNote++
      } else
        assert.equal(
          may(later, prunedUpTo),
          may(later),
          'where nothing was removed nothing is refused for it',
        )
    }),
    { numRuns: 300 },
  )
  expect(copiesOfTheForgotten).toBeGreaterThan(0)
  expect(onlyByTheNote).toBeGreaterThan(0)
})

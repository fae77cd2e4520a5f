import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import type { Algorithm } from '../../../core/bucket/algorithm.ts'
import { logOf } from '../../../core/bucket/log.ts'
import type { LimitExchange, LimitVerdict } from '../../../ports/limit.ts'
import { openFile } from '../open-file.ts'
import type { MachineTime } from './boot-clock.ts'
import { limitSchema } from './schema.ts'
import { LimitStore } from './store.ts'
import type { LimitAnswer } from './wire.ts'

const folder = await mkdtemp(join(tmpdir(), 'spillway-limit-store-'))
afterAll(() => rm(folder, { recursive: true }))

const secondUs = 1_000_000
const daily = logOf(3, 86_400 * secondUs)

class Machine implements MachineTime {
  boot = 'a'
  upSeconds = 100
  wallSeconds = 1_800_000_000
  monotonicUs(): number {
    return this.upSeconds * secondUs
  }
  wallUs(): number {
    return this.wallSeconds * secondUs
  }
  pass(seconds: number): void {
    this.upSeconds += seconds
    this.wallSeconds += seconds
  }
  reboot(name: string, seconds: number): void {
    this.boot = name
    this.upSeconds = 5
    this.wallSeconds += seconds
  }
}

let files = 0

/** Opens the same file again and again, as processes do. */
function opener(machine: Machine): () => { readonly store: LimitStore; readonly db: DatabaseSync } {
  const path = join(folder, `limits-${++files}.db`)
  return () => {
    const db = openFile(path, limitSchema, { synchronous: 'off', openTimeoutMs: 5_000, busyTimeoutMs: 0 })
    onTestFinished(() => db.close())
    return { store: new LimitStore(db, { path, busyTimeoutMs: 1_000, time: machine }), db }
  }
}

function request(bucket: string, algorithm: Algorithm, cost: number): LimitExchange {
  return { holder: 'h', leaseMs: 1_000, asks: [{ bucket, algorithm, used: 0, cost, hold: 0 }] }
}

function available(answer: LimitAnswer | undefined): number {
  if (!answer || 'failure' in answer) throw new Error(JSON.stringify(answer))
  return (answer.ok as LimitVerdict[])[0]!.buckets[0]!.available
}

test('nothing is minted by steps of the wall clock nor by boots, and a day is a day', () => {
  const machine = new Machine()
  const open = opener(machine)
  const left = () => available(open().store.answer([[request('b', daily, 0)]])[0])
  expect(available(open().store.answer([[request('b', daily, 3)]])[0])).toBe(0)
  machine.wallSeconds += 10 * 86_400
  expect(left()).toBe(0)
  machine.wallSeconds -= 20 * 86_400
  expect(left()).toBe(0)
  // Up again after a day, with a wall clock that is ten days behind: as if no time had passed.
  machine.reboot('b', 86_400)
  expect(left()).toBe(0)
  machine.pass(86_399)
  expect(left()).toBe(0)
  machine.pass(1)
  expect(left()).toBe(3)
  expect(available(open().store.answer([[request('b', daily, 3)]])[0])).toBe(0)
  // It is right again, and the machine was off for a day and a bit.
  machine.reboot('c', 10 * 86_400 + 86_401)
  expect(left()).toBe(3)
})

test('a call that fails leaves the others of its transaction, and its buckets, as they are', () => {
  const { store, db } = opener(new Machine())()
  store.answer([[request('bad', daily, 1)], [request('good', daily, 1)]])
  db.exec("UPDATE bucket SET numbers = x'00' WHERE name = 'bad'")
  const [first, bad, last] = store.answer([
    [request('good', daily, 1)],
    [request('good', daily, 1), request('bad', daily, 1)],
    [request('good', daily, 0)],
  ])
  expect(available(first)).toBe(1)
  expect(bad).toMatchObject({ failure: { code: 'STORE_CORRUPT' } })
  expect(available(last)).toBe(1)
})

test('what comes while the lock is waited for is in the same transaction', () => {
  const { store } = opener(new Machine())()
  const calls = [[request('b', daily, 1)]]
  expect(store.answer(calls, () => void calls.push([request('b', daily, 1)])).map(available)).toEqual([2, 1])
})

test("a sweep goes round all buckets in bounded steps, and takes those of a calendar's past", () => {
  const machine = new Machine()
  const { store, db } = opener(machine)()
  const endUs = machine.wallUs() + 3_600 * secondUs
  const short = logOf(1, secondUs)
  store.answer(Array.from({ length: 1_200 }, (_, i) => [request(`b${i}`, i % 2 ? daily : short, 1)]))
  store.answer([[request('calendar', { kind: 'calendar-window', limit: 5, endUs }, 1)]])
  const kept = () => Number(db.prepare('SELECT count(*) AS n FROM bucket').get()!.n)
  const sweep = () => store.answer(['sweep', 'sweep', 'sweep'])
  machine.pass(1)
  expect(sweep()).toEqual([{ ok: 251 }, { ok: 250 }, { ok: 99 }])
  expect(kept()).toBe(601)
  machine.pass(2 * 86_400)
  sweep()
  expect(kept()).toBe(0)
})

test('a wall clock that was ahead when the file was made takes no window of a calendar away', () => {
  const machine = new Machine()
  machine.wallSeconds += 10 * 86_400
  const { store } = opener(machine)()
  store.answer(['sweep'])
  machine.wallSeconds -= 10 * 86_400
  const quota = { kind: 'calendar-window', limit: 5, endUs: machine.wallUs() + 3_600 * secondUs } as const
  const left = () => available(store.answer([[request('quota', quota, 0)]])[0])
  store.answer([[request('quota', quota, 5)]])
  machine.pass(60)
  expect(store.answer(['sweep'])).toEqual([{ ok: 0 }])
  expect(left()).toBe(0)
  machine.pass(2 * 86_400)
  expect(store.answer(['sweep'])).toEqual([{ ok: 1 }])
})
